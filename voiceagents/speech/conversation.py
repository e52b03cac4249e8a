"""What has been said so far, in one request for a chat completion?

Chat messages come in many shapes (text or parts, missing keys, wrong types). They are read once, here, into the few
things the rules ask for, so that no rule has to doubt its input.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from .sentences import plain


@dataclass(frozen=True)
class Line:
    role: str
    text: str
    tool_call_id: str = ""
    calls: tuple[tuple[str, str], ...] = ()
    """Of an assistant's line: the id and the name of each tool it called."""


@dataclass(frozen=True)
class Tool:
    name: str
    description: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True)
class Conversation:
    prompt: str
    """The system prompt."""
    instruction: str
    """A system message after the last turn: what to do in this turn alone. Empty where there is none."""
    lines: tuple[Line, ...]
    """What callers, assistant and tools said, in order."""
    tools: tuple[Tool, ...]

    @property
    def said(self) -> list[str]:
        return [line.text for line in self.lines if line.role == "assistant" and line.text]

    @property
    def last_said(self) -> str:
        return self.said[-1] if self.said else ""

    @property
    def last_said_goodbye(self) -> bool:
        return plain(self.last_said).endswith("goodbye")

    @property
    def heard(self) -> str:
        """All the caller said since we last spoke; empty where the caller has not answered yet."""
        fresh: list[str] = []
        for line in reversed(self.lines):
            if line.role == "user":
                fresh.insert(0, line.text)
            elif fresh or (line.role == "assistant" and line.text):
                break
        return " ".join(fresh).strip()

    def has_said(self, sentence: str) -> bool:
        return f" {plain(sentence)} " in " ".join(f" {plain(said)} " for said in self.said)


def read(messages: Sequence[Any], tools: Sequence[Any] = ()) -> Conversation:
    """The conversation in `messages`; whatever is not a message or a tool is passed over."""
    prompt: list[str] = []
    instruction: list[str] = []
    lines: list[Line] = []
    for message in _mappings(messages):
        role, text = str(message.get("role", "")), _text(message.get("content"))
        if role in ("system", "developer"):
            (instruction if prompt else prompt).append(text)
        elif role in ("user", "assistant", "tool"):
            # An instruction stands for one turn; one that a turn has followed is spent.
            instruction.clear()
            lines.append(Line(role, text, str(message.get("tool_call_id") or ""), _calls(message.get("tool_calls"))))
    offered = tuple(tool for entry in _mappings(tools) if (tool := _tool(entry)) is not None)
    return Conversation("\n".join(prompt), "\n".join(instruction).strip(), tuple(lines), offered)


def _mappings(entries: object) -> list[Mapping[str, Any]]:
    if not isinstance(entries, Sequence) or isinstance(entries, str | bytes):
        return []
    return [cast(Mapping[str, Any], entry) for entry in cast(Sequence[object], entries) if isinstance(entry, Mapping)]


def _text(content: object) -> str:
    if isinstance(content, str):
        return content.strip()
    parts = [part.get("text") for part in _mappings(content)]
    return "\n".join(part for part in parts if isinstance(part, str)).strip()


def _calls(calls: object) -> tuple[tuple[str, str], ...]:
    found: list[tuple[str, str]] = []
    for call in _mappings(calls):
        found.append((str(call.get("id") or ""), str(_mapping(call.get("function")).get("name") or "")))
    return tuple(found)


def _tool(entry: Mapping[str, Any]) -> Tool | None:
    function = _mapping(entry.get("function"))
    name = function.get("name")
    if not isinstance(name, str):
        return None
    return Tool(name, str(function.get("description") or ""), _mapping(function.get("parameters")))


def _mapping(value: object) -> Mapping[str, Any]:
    return cast(Mapping[str, Any], value) if isinstance(value, Mapping) else {}
