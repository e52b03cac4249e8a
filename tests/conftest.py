"""Which servers can a test ask for? A lab that cannot start fails the test and says how to mend it."""

import logging
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from voiceagents.lab import Lab

pytest_plugins = ["tests.database", "tests.agent", "tests.campaign_desk", "tests.web", "tests.bucket"]

# Started in the background of a shell, we would ignore Ctrl-C, and so would every program that a test starts.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "patient: uses a phone network, but hears nothing and waits long: no `phones`")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whoever uses a phone network is marked `phones`: what is heard and when depends on an unhurried machine.

    Where nothing is heard and every limit is wide, a file says that it is `patient`, and runs beside others.
    """
    for item in items:
        uses_phones = {"lab", "fresh_lab"} & set(getattr(item, "fixturenames", ()))
        if uses_phones and item.get_closest_marker("patient") is None:
            item.add_marker("phones")


@pytest.fixture(autouse=True)
def own_log() -> Iterator[None]:
    """A command that runs within a test sends the log to that test's standard error, and no later test's."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture(scope="session")
async def lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Lab]:
    """One lab for all tests that only use it. Give each test numbers of its own."""
    async with Lab(tmp_path_factory.mktemp("lab")) as running:
        yield running


@pytest.fixture
async def fresh_lab(tmp_path: Path) -> AsyncIterator[Lab]:
    """A lab for one test, which may kill and restart its processes."""
    async with Lab(tmp_path / "lab") as running:
        yield running
