"""Who answers this call? An ordered chain of sources; the first that knows decides, and a call is always answered by
somebody.

Sources, in order: the agent named in the job's metadata, the assistant named in the room's metadata, the assistant of
the dialled number, and minimal defaults that promise nothing.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from voiceagents.assistants.draft import FIELDS, TransferTarget
from voiceagents.assistants.models import Assistant, Number

log = logging.getLogger("voiceagents.resolver")

_DEFAULT_PROMPT = """
You answer a phone call politely and briefly, one or two short sentences a turn. You know nothing about the business that was called, you have no
tools and no calendar: promise nothing. Ask how you can help, say honestly what you cannot do, and suggest to call again later.
""".strip()
_OUT_OF_SERVICE_PROMPT = """
You answer a number that is not in service. Say so in one sentence, and say goodbye. Do nothing else.
""".strip()


@dataclass(frozen=True)
class Resolved:
    """An assistant as a call uses it, and where it came from.

    What each choice means, and its unit, stands in `draft.AssistantDraft`; None leaves it to the settings.
    """

    id: str | None
    name: str
    prompt: str
    first_message: str
    source: str
    language: str = "en"
    llm_model: str | None = None
    voice: str | None = None
    temperature: float | None = None
    stt_model: str | None = None
    turn: Mapping[str, Any] = field(default_factory=dict[str, Any])
    max_call_duration: int | None = None
    silence_ask_after: float | None = None
    silence_hang_up_after: float | None = None
    background_sound: str | None = None
    record: bool = False
    consent_line: str = ""
    end_call_message: str = ""
    tools: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])
    calendar_id: str | None = None
    transfer_targets: tuple[TransferTarget, ...] = ()
    business_hours: Mapping[str, Any] | None = None
    time_zone: str | None = None
    after_hours: Mapping[str, Any] | None = None
    version: int | None = None
    """Of the assistant's versions the one that this is; None where it has none that we know."""


MINIMAL = Resolved(
    id=None,
    name="minimal defaults",
    prompt=_DEFAULT_PROMPT,
    first_message="Hello, thank you for calling. How can I help you?",
    source="resolver.defaults",
)
"""Answers when we could not find out who should: the database is away, or the named assistant is gone."""

OUT_OF_SERVICE = Resolved(
    id=None,
    name="not in service",
    prompt=_OUT_OF_SERVICE_PROMPT,
    first_message="Sorry, this number is not in service. Goodbye.",
    source="resolver.defaults",
)
"""Answers a number that, as the database says for certain, belongs to nobody."""


async def resolve_inbound(
    ask: "Callable[[Callable[[AsyncSession], Awaitable[Resolved | None]]], Awaitable[Resolved | None]]",
    *,
    job_assistant_id: str | None,
    room_assistant_id: str | None,
    did: str | None,
) -> Resolved:
    """The assistant for an inbound call; never raises.

    `ask` runs a question in a short transaction.
    """
    known_for_certain = True
    for source, identifier, question in (
        ("job.metadata", job_assistant_id, by_id),
        ("room.metadata", room_assistant_id, by_id),
        ("resolver.database", did, by_number),
    ):
        if not identifier:
            continue
        try:
            found = await ask(_bound(question, identifier, source))
        except Exception as error:  # noqa: BLE001  a source that fails, however it fails, must not keep the call from being answered
            log.warning("RESOLVER_FAILED | source=%s | cause=%s", source, error)
            known_for_certain = False
            continue
        if found is not None:
            return found
        log.warning("RESOLVER_EMPTY | source=%s | nothing found, trying the next source", source)
    unowned = known_for_certain and did and not job_assistant_id and not room_assistant_id
    return OUT_OF_SERVICE if unowned else MINIMAL


async def by_id(session: AsyncSession, assistant_id: str, source: str = "job.metadata") -> Resolved | None:
    """The assistant with this id."""
    found = await session.get(Assistant, assistant_id)
    return _resolved(found, source) if found else None


async def by_number(session: AsyncSession, number: str, source: str = "resolver.database") -> Resolved | None:
    """The assistant that answers this number (E.164)."""
    found = await session.scalar(
        select(Assistant).join(Number, Number.assistant_id == Assistant.id).where(Number.e164 == number)
    )
    return _resolved(found, source) if found else None


def _bound(
    question: Callable[[AsyncSession, str, str], Awaitable[Resolved | None]], identifier: str, source: str
) -> Callable[[AsyncSession], Awaitable[Resolved | None]]:
    return lambda session: question(session, identifier, source)


def _resolved(row: Assistant, source: str) -> Resolved:
    values = {name: getattr(row, name) for name in (*FIELDS, "version")}
    targets = tuple(TransferTarget.model_validate(target) for target in row.transfer_targets)
    return Resolved(**values | {"source": source, "transfer_targets": targets})
