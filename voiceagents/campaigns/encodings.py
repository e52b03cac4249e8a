"""In which encoding was this text file written?

A byte order mark settles it. Without one the whole file is tried as UTF-8, not only its beginning: the first accent may
stand in the last row. A file in UTF-8 with a few bytes of Windows-1252 among them, as when two lists were joined, is
read as both. What is neither is an old code page, and those can only be guessed from the bytes beyond ASCII.
"""

import codecs
import re
from itertools import pairwise
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
# What Excel writes as "CSV (Macintosh)" and as "CSV (MS-DOS)". Nearly any text can be read as these.
_LAST_RESORTS = ("mac_roman", "cp850")
_NAMES = {"utf-8-sig": "UTF-8", "utf-8": "UTF-8", "utf-16": "UTF-16", "utf-16-le": "UTF-16", "utf-16-be": "UTF-16"}
_CELL_ENDS = re.compile(rb"[,;\t|\r\n\"]")
_CHARACTER = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
_LATIN = re.compile(rb"[\xc2-\xc5][\x80-\xbf]")
_BEYOND = re.compile(rb"[\x80-\xff]")
_LEAST_ZEROS = 0.15
_OPENING = "‘‚“„«‰‡"
_TYPOGRAPHY = "–—‘’‚“”„«»…•€°§·®™\N{NO-BREAK SPACE}"
MENDED = "windows-1252-among-utf-8"
"""Python's `errors` for a file in UTF-8 some bytes of which are not: read as Windows-1252."""


def _as_windows_1252(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    byte = error.object[error.start : error.start + 1]
    return byte.decode("cp1252", "replace"), error.start + 1


codecs.register_error(MENDED, _as_windows_1252)


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
    # In another encoding, hardly ever do bytes in a row happen to be a character of UTF-8, and a Latin one at that.
    broken = len(_BEYOND.findall(_CHARACTER.sub(b"", evidence)))
    if len(_LATIN.findall(evidence)) >= broken or len(_CHARACTER.findall(evidence)) > 10 * broken:
        return "utf-8", MENDED
    return _code_page(evidence), "replace"


def is_wide(head: bytes) -> bool:
    """True for a text whose characters have two bytes or four each, so that its bytes alone look like no text."""
    return any(head.startswith(mark) for mark, name in _MARKS if name != "utf-8-sig") or _wide(head) is not None


def _wide(head: bytes) -> str | None:
    """UTF-16 without a mark: digits, delimiters and Latin letters have a zero in one byte of two, always the same."""
    pairs = len(head) // 2
    if not pairs:
        return None
    low, high = head[0::2].count(0) / pairs, head[1::2].count(0) / pairs
    if high > _LEAST_ZEROS and low < high / 8:
        return _if_it_fits(head, "utf-16-le")
    if low > _LEAST_ZEROS and high < low / 8:
        return _if_it_fits(head, "utf-16-be")
    return None


def _if_it_fits(head: bytes, encoding: str) -> str | None:
    text = head[: len(head) // 2 * 2].decode(encoding, "replace")
    return encoding if "\n" in text or "\r" in text else None


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
    if best is None or (best.coherence == 0 and not _reads_well(str(best))):
        for encoding in _LAST_RESORTS:
            if _reads_well(cells.decode(encoding)):
                return encoding
    if best is None:
        raise TableError(
            'the encoding of the text cannot be told; save the file as "CSV UTF-8" (in Excel: Save As, CSV UTF-8)'
        )
    return best.encoding


def _reads_well(text: str) -> bool:
    """Whether what lies beyond ASCII is letters and quotation marks where they belong, unlike "£ukasz", "Pawe³", "JosŽ"
    and "Zo‘"."""
    beyond = [(before, c) for before, c in pairwise(f" {text}") if not c.isascii()]
    return sum(_belongs(c, before) for before, c in beyond) > 0.9 * len(beyond)


def _belongs(character: str, before: str) -> bool:
    if character.isalpha():
        return not (character.isupper() and before.islower())
    return character in _TYPOGRAPHY and not (character in _OPENING and before.isalpha())
