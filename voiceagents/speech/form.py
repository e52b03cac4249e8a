"""Which fields does an uploaded form hold?

`multipart/form-data` has the syntax of a MIME message, which the standard library reads.
"""

from dataclasses import dataclass
from email.message import Message
from email.parser import BytesParser
from typing import cast


@dataclass(frozen=True)
class Form:
    fields: dict[str, str]
    files: dict[str, bytes]


def parse_form(content_type: str, body: bytes) -> Form | None:
    """The fields and files of a multipart body; None if it is no such body."""
    if not content_type.lower().startswith("multipart/form-data"):
        return None
    message = BytesParser().parsebytes(b"Content-Type: " + content_type.encode("latin-1") + b"\r\n\r\n" + body)
    if not message.is_multipart():
        return None
    fields: dict[str, str] = {}
    files: dict[str, bytes] = {}
    for part in cast(list[Message], message.get_payload()):
        name = part.get_param("name", header="content-disposition")
        content = part.get_payload(decode=True)
        if not isinstance(name, str) or not isinstance(content, bytes):
            continue
        if part.get_filename() is None:
            fields[name] = content.decode("utf-8", errors="replace")
        else:
            files[name] = content
    return Form(fields, files)
