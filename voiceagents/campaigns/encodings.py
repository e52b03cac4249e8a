"""In which encoding was this text file written?

A byte order mark settles it. Without one the whole file is tried as UTF-8, not only its beginning: the first accent may
stand in the last row. What is not UTF-8 is an old code page, and those can only be guessed from the bytes beyond ASCII.
"""

import codecs
import re
from typing import BinaryIO

from charset_normalizer import from_bytes

from voiceagents.campaigns.rows import TableError

_BLOCK = 2**20
_EVIDENCE = 64 * 1024
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # starts as UTF-16's does, so it comes first
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# What Windows writes as "CSV", by country.
_CODE_PAGES = [
    "cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp874",
    "cp932", "gb18030", "big5", "cp949",
]  # fmt: skip
_NAMES = {"utf-8-sig": "UTF-8", "utf-8": "UTF-8", "utf-16": "UTF-16", "utf-16-le": "UTF-16", "utf-16-be": "UTF-16"}
_CELL_ENDS = re.compile(rb"[,;\t|\r\n\"]")
_TYPOGRAPHY = "–—‘’‚“”„«»…•€°§·®™\N{NO-BREAK SPACE}"
# A file in UTF-8 with a few broken bytes is still one; in another encoding nearly every accent would be broken.
_BROKEN_SHARE = 0.1


def name_of(encoding: str) -> str:
    """The encoding as people call it."""
    return _NAMES.get(encoding) or encoding.replace("cp125", "Windows-125")


def encoding_of(file: BinaryIO) -> tuple[str, str]:
    """The file's encoding and how to treat bytes that do not fit it (Python's `errors`).

    Raises:
        TableError: it is no text, or its encoding cannot be told.
    """
    file.seek(0)
    head = file.read(_BLOCK)
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return encoding, "replace"
    if (wide := _wide(head)) is not None:
        return wide, "replace"
    if _is_utf_8(file):
        return "utf-8", "strict"
    evidence = _beyond_ascii(file)
    mended = evidence.decode("utf-8", "replace")
    if mended.count("\N{REPLACEMENT CHARACTER}") < _BROKEN_SHARE * sum(not c.isascii() for c in mended):
        return "utf-8", "replace"
    return _code_page(evidence), "replace"


def _wide(head: bytes) -> str | None:
    """UTF-16 without a mark: Latin text has a zero in every other byte."""
    pairs = len(head) // 2
    if not pairs:
        return None
    low, high = head[0::2].count(0) / pairs, head[1::2].count(0) / pairs
    if high > 0.4 and low < 0.1:
        return "utf-16-le"
    if low > 0.4 and high < 0.1:
        return "utf-16-be"
    return None


def _is_utf_8(file: BinaryIO) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    file.seek(0)
    try:
        while block := file.read(_BLOCK):
            decoder.decode(block)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _beyond_ascii(file: BinaryIO) -> bytes:
    """Lines that hold more than ASCII: the rest says nothing about the encoding."""
    file.seek(0)
    found, size = list[bytes](), 0
    while size < _EVIDENCE and (line := file.readline(_BLOCK)):
        if not line.isascii():
            found.append(line[:_EVIDENCE])
            size += len(found[-1])
    return b"".join(found)


def _code_page(evidence: bytes) -> str:
    cells = b"\n".join(cell for cell in _CELL_ENDS.split(evidence) if not cell.isascii())
    western = from_bytes(cells, cp_isolation=["cp1252"]).best()
    best = from_bytes(cells, cp_isolation=_CODE_PAGES).best()
    if western is not None and _reads_well(str(western)) and (best is None or best.coherence <= western.coherence):
        # Nothing speaks for another language, and the code pages of Europe share most accents.
        return western.encoding
    best = best if western is None else from_bytes(cells, cp_isolation=_CODE_PAGES[1:]).best()
    if best is None:
        raise TableError(
            'the encoding of the text cannot be told; save the file as "CSV UTF-8" (in Excel: Save As, CSV UTF-8)'
        )
    return best.encoding


def _reads_well(text: str) -> bool:
    """Whether what lies beyond ASCII is letters and quotation marks, unlike "£ukasz" and "Pawe³"."""
    beyond = [c for c in text if not c.isascii()]
    return sum(c.isalpha() or c in _TYPOGRAPHY for c in beyond) > 0.9 * len(beyond)
