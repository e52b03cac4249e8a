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
    r"\+[1-9]\d{7,14}(?!\d)|(?<![\w.\-])[1-9]\d{9,14}(?![\w.\-])|(?<=sip_)\d{8,15}(?!\d)|(?<=did-)\d{8,15}(?!\d)|(?<=_)\d{10,15}(?=_)"
)
_SECRET = re.compile(
    r"(?i)(authorization|api[_-]?secret|api[_-]?key|password|access_token)(['\"]?\s*[:=]\s*['\"]?)(bearer\s+)?[^\s'\"&,}]+"
)
_PERSONAL_KEYS = {
    "phone_number",
    "contactname",
    "campaignprompt",
    "name",
    "email",
    "phone",
    "contactinfo",
    "first_message",
}

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
    for noisy in ("httpx", "httpcore", "openai", "aiohttp.access", "asyncio"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))


def event(name: str, /, **fields: object) -> str:
    """`NAME | key=value | …` in the order given.

    Values stand as they are: mask what is personal before.
    """
    return " | ".join([name, *(f"{key}={value}" for key, value in fields.items())])


def number(value: str | None) -> str | None:
    """A phone number as the log may show it."""
    return value if value is None or _show_personal_data else phone.mask(value)


def room(value: str) -> str:
    """A room name as the log may show it: the numbers in it masked."""
    return value if _show_personal_data else _NUMBER.sub(lambda m: phone.mask(m.group()), value)


def name(value: str | None) -> str:
    """A person's name as the log may show it."""
    if not value:
        return "-"
    return value if _show_personal_data else value[0] + "***"


def metadata(raw: str | None) -> str:
    """Job or room metadata as the log may show it: as it came with LOG_PII, else the same keys with personal values
    masked."""
    if not raw:
        return "{}"
    if _show_personal_data:
        return raw
    try:
        value: object = json.loads(raw)
    except (ValueError, RecursionError):
        return f"<{len(raw)} characters, not JSON>"
    return json.dumps(_masked(value), ensure_ascii=False, separators=(",", ":"))


def _masked(value: object, key: str = "") -> object:
    if isinstance(value, dict):
        return {k: _masked(v, str(k)) for k, v in cast("dict[Any, Any]", value).items()}
    if isinstance(value, list):
        return f"<list of {len(cast('list[Any]', value))}>"
    lowered = key.lower()
    if isinstance(value, int) and lowered in _PERSONAL_KEYS:
        value = str(value)
    if isinstance(value, str):
        if lowered in ("phone_number", "phone"):
            return phone.mask(value)
        if lowered in _PERSONAL_KEYS or not key or len(value) > 80:
            return f"<{len(value)} characters>" if value else ""
        return _NUMBER.sub(lambda m: phone.mask(m.group()), value)
    return value


def redact(text: str) -> str:
    """Any text as the log may show it: secrets gone always, phone numbers masked unless LOG_PII is true."""
    text = _SECRET.sub(r"\1\2***", text)
    return text if _show_personal_data else _NUMBER.sub(lambda m: phone.mask(m.group()), text)


class RedactingFilter(logging.Filter):
    """The last gate before a handler writes, also for what libraries log."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg = redact(record.getMessage())
        record.args = None
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = redact(record.exc_text)
        return True
