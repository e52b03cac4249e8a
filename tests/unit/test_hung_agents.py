"""What is sent to an agent process that has fallen silent?"""

import signal

import pytest

from voiceagents.calls.verdicts import remedy

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("silent", "sent"),
    [
        (0, None),
        (29, None),
        (31, signal.SIGTERM),
        (119, signal.SIGTERM),
        (121, signal.SIGABRT),
        (126, signal.SIGKILL),
    ],
)
def test_a_silent_agent_is_asked_then_aborted_then_killed(silent: float, sent: signal.Signals | None) -> None:
    assert remedy(silent) is sent
