"""Where does one spoken sentence end and the next begin?

The voice starts on the first sentence while the next are still to come, and the script-follower hands a script out a
sentence or two at a time. List marks and Markdown are not spoken, so they go here too.
"""

import re

_END = re.compile(r"(?<=[.!?…])[\"”’')\]]*\s+(?=\S)")
_ABBREVIATION = re.compile(r"(?:\b(?:mr|mrs|ms|dr|prof|st|no|vs|e\.g|i\.e|approx|ext)|\b[A-Z])\.$", re.IGNORECASE)
_LIST_MARK = re.compile(r"^\s*(?:[-*•–]|\d{1,2}[.)])\s+|^\s*#{1,6}\s*")
_EMPHASIS = re.compile(r"\*\*|__|`")


def sentences(text: str) -> list[str]:
    """The sentences of `text`, in order, without list marks; a line break always ends one."""
    found: list[str] = []
    for line in text.splitlines():
        line = _EMPHASIS.sub("", _LIST_MARK.sub("", line)).strip()
        start = 0
        for end in _END.finditer(line):
            sentence = line[start : end.end()].strip()
            if _ABBREVIATION.search(sentence):
                continue
            found.append(sentence)
            start = end.end()
        if line[start:].strip():
            found.append(line[start:].strip())
    return found


def plain(text: str) -> str:
    """The words of `text` alone, lower case and without apostrophes: what two ways of writing one sentence share."""
    lowered = text.lower().replace("’", "").replace("'", "")
    return " ".join(re.findall(r"[^\W_]+", lowered))
