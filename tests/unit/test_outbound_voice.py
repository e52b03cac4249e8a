"""Whose voice has a call that we place? The assistant's that its metadata names, wherever that assistant is kept."""

from types import SimpleNamespace
from typing import Any

import pytest

from voiceagents.assistants import sources
from voiceagents.assistants.resolver import MINIMAL, Resolved
from voiceagents.livekit import preparing

pytestmark = pytest.mark.unit

THEIRS = Resolved("uuid-1", "Theirs", "", "", "job.metadata", voice="shimmer", resolver="resolver.supabase")


class Chain:
    async def named(self, ask: Any, assistant_id: str) -> Resolved | None:
        return THEIRS if assistant_id == THEIRS.id else None


@pytest.mark.parametrize(("assistant_id", "lends"), [("uuid-1", THEIRS), ("gone", MINIMAL), (None, MINIMAL)])
async def test_every_source_is_asked_and_without_an_assistant_the_settings_serve(
    monkeypatch: pytest.MonkeyPatch, assistant_id: str | None, lends: Resolved
) -> None:
    monkeypatch.setattr(sources, "resolver", lambda settings: Chain())  # pyright: ignore[reportUnknownLambdaType]
    job: Any = SimpleNamespace(worker=SimpleNamespace(settings=None, recorder=None))
    assert await preparing._voice_of(job, assistant_id) is lends  # pyright: ignore[reportPrivateUsage]
