"""How does a line get into the log, and what must never get there?

Event lines have the form `EMOJI EVENT | key=value | key=value`, so that one `grep` follows a call. Phone numbers and
names are masked unless LOG_PII is true: by the code that writes a line where it knows what a value is, and by a
filter on every handler for whatever libraries write.
"""

import json
import logging
import re
import sys
from typing import Any, cast

from voiceagents import phone

_FORMAT = "%(asctime)s %(levelname)-7s %(name)s  %(message)s"
# A number as libraries print it: in room names, identities, SIP addresses. Digits inside ids, dates and hashes are
# left alone.
_NUMBER = re.compile(
    r"(?:\+|(?<=%2[Bb]))[1-9]\d{7,}"
    r"|(?<![\w\-])(?<!\d\.)[1-9]\d{9,14}(?!\w|-\w|\.\d)"
    r"|(?<=sip_)\d{8,15}(?!\d)|(?<=(?:did|all)-)\d{8,15}(?!\d)|(?<=_)\d{8,15}(?=_)"
)
_SECRETS = (
    (
        re.compile(
            r"(?i)(authorization|secret|api[_-]?key|password|access_?token)"
            r"(['\"]?\s*[:=]\s*['\"]?)(bearer\s+)?[^\s'\"&,}]+"
        ),
        r"\1\2***",
    ),
    (re.compile(r"(?<=://)([^\s:/@]*):[^\s/]+@"), r"\1:***@"),
    (re.compile(r"\bsk-[\w-]{8,}"), "sk-***"),
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
# What job and room metadata hold that says nothing about a person. All else in them does, or may.
_PLAIN_KEYS = {
    "agentid", "calltype", "campaignid", "outbound_trunk_id", "callid", "contactid", "attempt", "assistantid",
}  # fmt: skip
_NUMBER_KEYS = {"phone_number", "phone"}
_LONGEST_METADATA = 8000

_show_personal_data = False


def configure(*, level: str = "INFO", log_pii: bool = False) -> None:
    """Sends the log of this process to standard error.

    Call once, at start.
    """
    global _show_personal_data
    _show_personal_data = log_pii
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter(_FORMAT))
    handler.addFilter(RedactingFilter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for noisy in ("httpx", "httpx2", "httpcore", "openai", "aiohttp.access", "asyncio"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))


def event(name: str, /, **fields: object) -> str:
    """`NAME | key=value | …` in the order given, on one line whatever the values hold.

    Values stand as they are: mask what is personal before.
    """
    return " | ".join([name, *(f"{key}={_one_line(str(value))}" for key, value in fields.items())])


def number(value: str | None) -> str | None:
    """A phone number as the log may show it."""
    return value if value is None or _show_personal_data else phone.mask(value)


def room(value: str) -> str:
    """A room name as the log may show it: the numbers in it masked."""
    return value if _show_personal_data else _mask_numbers(value)


def name(value: str | None) -> str:
    """A person's name as the log may show it."""
    if not value:
        return "-"
    return value if _show_personal_data else value[0] + "***"


def metadata(raw: str | None) -> str:
    """Job or room metadata as the log may show it: as it came with LOG_PII, else the same keys with personal values
    masked."""
    if not raw or not raw.strip():
        return "{}"
    if _show_personal_data:
        return _cut(raw)
    try:
        value: object = json.loads(raw)
    except (ValueError, RecursionError):
        return f"<{len(raw)} characters, not JSON>"
    return _cut(json.dumps(_masked(value), ensure_ascii=False, separators=(",", ":")))


def _masked(value: object, key: str = "", depth: int = 0) -> object:
    if isinstance(value, dict):
        if depth > 1:
            return "<an object>"
        inner = cast("dict[str, Any]", value)
        return {_mask_numbers(k): _masked(v, k.lower(), depth + 1) for k, v in inner.items()}
    if isinstance(value, list):
        return f"<list of {len(cast('list[Any]', value))}>"
    if value is None or isinstance(value, bool) or value == "":
        return value
    if key in _NUMBER_KEYS:
        return phone.mask(str(value))
    if isinstance(value, str):
        return _mask_numbers(value) if key in _PLAIN_KEYS and len(value) <= 80 else f"<{len(value)} characters>"
    return value if key in _PLAIN_KEYS else "<a number>"


def _mask_numbers(text: str) -> str:
    return _NUMBER.sub(lambda found: phone.mask(found.group()), text)


def _one_line(text: str) -> str:
    return _CONTROL.sub(lambda found: found.group().encode("unicode_escape").decode(), text)


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_METADATA else f"{text[:_LONGEST_METADATA]}… ({len(text)} characters)"


def redact(text: str) -> str:
    """Any text as the log may show it: secrets gone always, phone numbers masked unless LOG_PII is true."""
    for secret, shown in _SECRETS:
        text = secret.sub(shown, text)
    return text if _show_personal_data else _mask_numbers(text)


class RedactingFilter(logging.Filter):
    """The last gate before a handler writes, also for what libraries log."""

    def filter(self, record: logging.LogRecord) -> bool:
        try:
            message = record.getMessage()
        except (TypeError, ValueError, KeyError):
            # A slip in a library's log line must not become an exception in the call that it writes about.
            message = f"{record.msg} {record.args}"
        record.msg = redact(message)
        record.args = None
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = redact(record.exc_text)
        if record.stack_info:
            record.stack_info = redact(record.stack_info)
        return True
