"""What does the dispatcher tell the agent? The wire contract: job metadata, room metadata and room names.

Metadata comes from outside: it may be missing, broken, encoded twice or of the wrong shape. Whatever arrives, parsing
ends in a value or in one `MetadataError` that says what is wrong. What could be mended is listed in `problems`, for
the log.
"""

import json
import re
from dataclasses import dataclass, field
from typing import Any, cast
from uuid import UUID

from voiceagents.text import storable

MAX_BYTES = 512 * 1024
"""LiveKit's limit for a metadata string, in bytes (livekit-server `limit.max_metadata_size` is at most this)."""

_OUTBOUND_ROOM = re.compile(r"^call-(\+?[1-9][0-9]{5,14})-.+$")
_DID_ROOM = re.compile(r"^did-(?:tel:)?((?:\+|%2B|00?)?[1-9][0-9]{5,14})(?!\d)", re.IGNORECASE)
_LONGEST_IDENTIFIER = 200
_LONGEST_NUMBER = 64
_MOST_PROBLEMS = 10


class MetadataError(ValueError):
    """The metadata cannot be understood or sent.

    The message says what is wrong with it.
    """


@dataclass(frozen=True)
class JobMetadata:
    """Job metadata as the agent uses it.

    `phone_number` decides: set means outbound, None means inbound.
    """

    phone_number: str | None = None
    agent_id: str | None = None
    call_type: str | None = None
    campaign_id: str | None = None
    contact_name: str | None = None
    campaign_prompt: str | None = None
    outbound_trunk_id: str | None = None
    call_id: UUID | None = None
    contact_id: str | None = None
    attempt: int | None = None
    email: str | None = None
    variables: dict[str, str] = field(default_factory=dict[str, str])
    voicemail_message: str | None = None
    menu_path: str | None = None
    extraction: dict[str, Any] | None = None
    problems: tuple[str, ...] = ()

    @property
    def is_outbound(self) -> bool:
        return self.phone_number is not None

    def to_json(self) -> str:
        """The metadata string of a dispatch, keys as the specification spells them.

        Raises:
            MetadataError: longer than LiveKit takes.
        """
        values: dict[str, Any] = {
            "phone_number": self.phone_number,
            "agentId": self.agent_id,
            "callType": self.call_type,
            "campaignId": self.campaign_id,
            "contactName": self.contact_name,
            "campaignPrompt": self.campaign_prompt,
            "outbound_trunk_id": self.outbound_trunk_id,
            "callId": str(self.call_id) if self.call_id else None,
            "contactId": self.contact_id,
            "attempt": self.attempt,
            "email": self.email,
            "variables": self.variables or None,
            "voicemailMessage": self.voicemail_message,
            "menuPath": self.menu_path,
            "extraction": self.extraction,
        }
        return encode({key: value for key, value in values.items() if value is not None})


@dataclass(frozen=True)
class RoomContext:
    """Campaign context from the room's metadata; every field may be missing."""

    campaign_prompt: str = ""
    contact_name: str = ""
    contact_email: str = ""
    contact_phone: str = ""
    assistant_id: str | None = None
    campaign_id: str | None = None
    problems: tuple[str, ...] = ()

    def to_json(self) -> str:
        """The room's metadata string, keys as the specification spells them.

        Raises:
            MetadataError: longer than LiveKit takes.
        """
        return encode(
            {
                "campaignPrompt": self.campaign_prompt,
                "contactInfo": {"name": self.contact_name, "email": self.contact_email, "phone": self.contact_phone},
                "assistantId": self.assistant_id,
                "campaignId": self.campaign_id,
            }
        )


def parse_job(raw: str | None) -> JobMetadata:
    """Job metadata from its string.

    Nothing at all, `{}` or no `phone_number` mean an inbound call.

    Raises:
        MetadataError: not JSON, not an object, or too long.
    """
    values = _object(raw)
    reader = _Reader(values)
    phone_number: str | None = None
    if values.get("phone_number") is not None:
        # Present means outbound, whatever its type: a number that cannot be dialled is refused later, with
        # its reason. It never falls through to an inbound assistant that would sit in the room alone.
        phone_number = (reader.text("phone_number") or "")[:_LONGEST_NUMBER]
    return JobMetadata(
        phone_number=phone_number,
        agent_id=reader.identifier("agentId"),
        call_type=reader.identifier("callType"),
        campaign_id=reader.identifier("campaignId"),
        contact_name=reader.text("contactName"),
        campaign_prompt=reader.text("campaignPrompt"),
        outbound_trunk_id=reader.identifier("outbound_trunk_id"),
        call_id=reader.uuid("callId"),
        contact_id=reader.identifier("contactId"),
        attempt=reader.whole("attempt"),
        email=reader.text("email"),
        variables=reader.texts("variables"),
        voicemail_message=reader.text("voicemailMessage"),
        menu_path=reader.text("menuPath"),
        extraction=reader.inner("extraction") or None,
        problems=tuple(reader.problems),
    )


def parse_room(raw: str | None) -> RoomContext:
    """Campaign context from a room's metadata.

    Context is a help, never a condition: what cannot be read is left out and reported.
    """
    try:
        values = _object(raw)
    except MetadataError as error:
        return RoomContext(problems=(f"room metadata ignored: {error}",))
    reader = _Reader(values)
    contact = _Reader(reader.inner("contactInfo"))
    return RoomContext(
        campaign_prompt=reader.text("campaignPrompt") or "",
        contact_name=contact.text("name") or "",
        contact_email=contact.text("email") or "",
        contact_phone=contact.text("phone") or "",
        assistant_id=reader.identifier("assistantId"),
        campaign_id=reader.identifier("campaignId"),
        problems=tuple(reader.problems + contact.problems),
    )


def encode(values: dict[str, Any]) -> str:
    """A metadata string that LiveKit takes.

    Raises:
        MetadataError: names its size and the limit, both in bytes.
    """
    text = storable(json.dumps(values, ensure_ascii=False, separators=(",", ":")))
    size = len(text.encode())
    if size > MAX_BYTES:
        raise MetadataError(
            f"the metadata is {size} bytes long, LiveKit takes {MAX_BYTES}; shorten the campaign prompt"
        )
    return text


def outbound_room(number: str, call_id: UUID) -> str:
    """`call-<E.164>-<suffix>`.

    The suffix comes from the call's id, so that a second dispatch of one call meets the first in its room.
    """
    return f"call-{number}-{call_id.hex[:16]}"


def is_outbound_room(name: str) -> bool:
    """True for a room that a dispatcher made for a call of ours, so that nobody is waiting in it to be answered."""
    return _OUTBOUND_ROOM.match(name) is not None


def number_in_room(name: str) -> str | None:
    """The number to dial in the name of an outbound room."""
    found = _OUTBOUND_ROOM.match(name)
    return found.group(1) if found else None


def did_in_room(name: str) -> str | None:
    """The dialled number in the name of an inbound room: `did-<number>` with anything after it.

    As the carrier spelled it: in E.164, without `+`, or in a national form. Other rooms hold the caller, so None.
    """
    found = _DID_ROOM.match(name)
    return found.group(1).upper().replace("%2B", "+") if found else None


def _object(raw: str | None) -> dict[str, Any]:
    if raw is None or not raw.strip():
        return {}
    size = len(raw.encode(errors="replace"))
    if size > MAX_BYTES:
        raise MetadataError(f"{size} bytes long, more than LiveKit's {MAX_BYTES}")
    value: object = raw.lstrip("\ufeff")
    # Encoded twice is a common slip of dispatchers (json.dumps of a string); more than that is no metadata.
    for inside_a_string in (False, True):
        if not isinstance(value, str):
            break
        try:
            value = json.loads(value)
        except RecursionError:
            raise MetadataError("nested too deep") from None
        except ValueError as error:
            if inside_a_string:
                break
            where = f"{error.msg} at character {error.pos}" if isinstance(error, json.JSONDecodeError) else str(error)
            raise MetadataError(f"not JSON: {where}") from None
    if not isinstance(value, dict):
        raise MetadataError(f"a JSON object is needed, this is {_kind(value)}")
    return cast("dict[str, Any]", value)


class _Reader:
    """Reads fields of the types we need and writes down what it had to mend."""

    def __init__(self, values: dict[str, Any]) -> None:
        self._values = values
        self.problems: list[str] = []

    def text(self, key: str) -> str | None:
        value: object = self._values.get(key)
        if value is None:
            return None
        if isinstance(value, str):
            return storable(value)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            self.problems.append(f"{key} is {_kind(value)}, taken as text")
            return str(value)
        self.problems.append(f"{key} is {_kind(value)}, not text: ignored")
        return None

    def identifier(self, key: str) -> str | None:
        """Text that names something; blank names nothing, and no name is a whole page long."""
        value = (self.text(key) or "").strip()
        if len(value) > _LONGEST_IDENTIFIER:
            self.problems.append(f"{key} is {len(value)} characters long: ignored")
            return None
        return value or None

    def inner(self, key: str) -> dict[str, Any]:
        """An object inside the object, which may have been encoded by itself."""
        value: object = self._values.get(key)
        if isinstance(value, str):
            try:
                return _object(value)
            except MetadataError as error:
                self.problems.append(f"{key} ignored: {error}")
                return {}
        if value is not None and not isinstance(value, dict):
            self.problems.append(f"{key} is {_kind(value)}, not an object: ignored")
            return {}
        return cast("dict[str, Any]", value or {})

    def texts(self, key: str) -> dict[str, str]:
        inner = _Reader(self.inner(key))
        found = {name: inner.text(name) for name in inner._values}
        self.problems += [f"{key}.{problem[:100]}" for problem in inner.problems[:_MOST_PROBLEMS]]
        return {name: text for name, text in found.items() if text is not None}

    def whole(self, key: str) -> int | None:
        value: object = self._values.get(key)
        if value is None:
            return None
        if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**31:
            return value
        if (
            isinstance(value, str)
            and value.strip().isascii()
            and value.strip().isdigit()
            and 0 < len(value.strip()) < 9
        ):
            return int(value)
        self.problems.append(f"{key} is not a whole number: ignored")
        return None

    def uuid(self, key: str) -> UUID | None:
        value = self.identifier(key)
        if value is None:
            return None
        try:
            return UUID(value)
        except ValueError:
            self.problems.append(f"{key} is not a call id: ignored")
            return None


def _kind(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case str():
            return "a string"
        case int() | float():
            return "a number"
        case list():
            return "a list"
        case _:
            return "an object"
