"""What does a call know of its assistant? All its choices in one piece, from whichever source they came."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from voiceagents.assistants.draft import FIELDS, TransferTarget
from voiceagents.assistants.models import Assistant

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
    """What named it: `job.metadata`, `room.metadata`, or the resolver that knew the number."""

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
    calendar: Mapping[str, Any] | None = field(default=None, repr=False)
    """A calendar that came along with the assistant: `{"provider": "calcom", "settings": {…}}`. Holds a secret."""

    transfer_targets: tuple[TransferTarget, ...] = ()
    business_hours: Mapping[str, Any] | None = None
    time_zone: str | None = None
    after_hours: Mapping[str, Any] | None = None
    version: int | None = None
    """Of the assistant's versions the one that this is; None where it has none that we know."""

    resolver: str = "resolver.defaults"
    """Who knew what is set on it: `resolver.database`, `resolver.supabase` or `resolver.defaults`."""

    number: str | None = field(default=None, compare=False)
    """The number of ours that was dialled, in E.164, where it was found by that: carriers spell it in many ways."""


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
"""Answers a number that, as every source says for certain, belongs to nobody."""


def from_row(row: Assistant, source: str) -> Resolved:
    """The assistant of a row of our own table."""
    values: dict[str, Any] = {name: getattr(row, name) for name in (*FIELDS, "version")}
    values["transfer_targets"] = tuple(TransferTarget.model_validate(target) for target in row.transfer_targets)
    return Resolved(**values, source=source, resolver="resolver.database")
