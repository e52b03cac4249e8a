"""What is never written down of a call in which the caller gives away a secret: a code, a card's number?

The keys they press, what is said while they are asked for it, and the secret itself wherever it turns up afterwards, in
digits or in words. The model is told it, the history is not. The sound of a recording is as it was.
"""

import re
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf
from typing import Any, cast

from voiceagents.calls.states import Speaker

HIDDEN = "***"

_SHORTEST = 3
"""Digits that a secret must have to be looked for later: fewer are in every time of day."""

_WORDS = {
    "0": "zero|oh?|null|cero", "1": "one|eins|uno", "2": "two|zwei|zwo|dos", "3": "three|drei|tres",
    "4": "four|vier|cuatro", "5": "five|fünf|cinco", "6": "six|sechs|seis", "7": "seven|sieben|siete",
    "8": "eight|acht|ocho", "9": "nine|neun|nueve", "*": "star|asterisk", "#": "pound|hash",
}  # fmt: skip
_APART = r"[\s,.;\-]*"


@dataclass
class _Asked:
    """A stretch of the call in which a secret is asked for; unix times."""

    since: float
    until: float = inf
    given: float = inf
    """When the first of it came."""


class Discretion:
    """Of one call. Everything that writes down what happens in it asks here."""

    def __init__(self) -> None:
        self.hides_keys = False
        """Keys are hidden for the whole call: they may come before the question and after the answer."""
        self._asked: list[_Asked] = []
        self._secrets: list[re.Pattern[str]] = []
        self._numbers: set[int] = set()

    @contextmanager
    def asking(self) -> Generator[None]:
        """The caller is asked for a secret inside the block."""
        asked = _Asked(time.time())
        self._asked.append(asked)
        try:
            yield
        finally:
            asked.until = time.time()

    @property
    def is_asking(self) -> bool:
        return any(asked.until == inf for asked in self._asked)

    def keep_to_ourselves(self, secret: str) -> None:
        """The caller gave this away."""
        keys = [key for key in secret if key in _WORDS or key in "ABCD"]
        if len(keys) < _SHORTEST:
            return
        spelled = (rf"(?:{re.escape(key)}|\b(?:{_WORDS[key]})\b)" if key in _WORDS else key for key in keys)
        self._secrets.append(re.compile(rf"(?<!\d){_APART.join(spelled)}(?!\d)", re.IGNORECASE))
        if secret := "".join(key for key in keys if key.isdigit()):
            self._numbers.add(int(secret))

    def key(self, digit: str) -> str:
        """A key that was pressed, as it may be written down."""
        self._given(time.time())
        return HIDDEN if self.hides_keys else digit

    def said(self, speaker: Speaker, text: str, began: float, ended: float) -> str:
        """What was said, as it may be written down; unix times."""
        for asked in self._asked:
            if began > asked.until or ended < asked.since:
                continue
            if speaker is Speaker.PERSON:
                self._given(began)
                return HIDDEN
            # Our own question is no secret; what we say after the first of the answer may repeat it.
            if began > asked.given:
                return HIDDEN
        return self.without(text)

    def without(self, value: Any) -> Any:
        """A text, or whatever JSON holds, without what was given away."""
        match value:
            case str():
                for secret in self._secrets:
                    value = secret.sub(HIDDEN, value)
                return value
            case dict():
                return {name: self.without(one) for name, one in cast("dict[str, Any]", value).items()}
            case list():
                items = cast("list[Any]", value)
                keys = "".join(one for one in items if isinstance(one, str) and len(one) == 1)
                # A tool that presses keys gets them one by one.
                return [HIDDEN] if keys != self.without(keys) else [self.without(one) for one in items]
            case int() if not isinstance(value, bool) and value in self._numbers:
                return HIDDEN
            case _:
                return value

    def _given(self, at: float) -> None:
        for asked in self._asked:
            if asked.since <= at <= asked.until:
                asked.given = min(asked.given, at)
