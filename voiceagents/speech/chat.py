"""How does a reply of the script-follower travel as a chat completion?

Checks a request as strict OpenAI-compatible servers do, and writes the answer whole or as a stream of chunks: the
role, the words one by one, the tool calls in pieces, the reason for ending, the usage if it was asked for, and
`[DONE]`.
"""

import json
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

from pydantic import BaseModel, ConfigDict

from . import CHAT_MODEL
from .errors import ApiError, no_such_model
from .script_follower import Reply, reply

_ROLES = ("system", "developer", "user", "assistant", "tool")


class StreamOptions(BaseModel):
    include_usage: bool = False


class ChatRequest(BaseModel):
    """What is read of a request; settings for sampling are accepted and change nothing."""

    model_config = ConfigDict(extra="ignore")

    model: str
    messages: list[dict[str, Any]]
    stream: bool = False
    stream_options: StreamOptions | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    n: int | None = None
    response_format: dict[str, Any] | None = None


@dataclass(frozen=True)
class Completion:
    identity: str
    created: int
    reply: Reply
    usage: dict[str, int]

    @property
    def finish_reason(self) -> str:
        return "tool_calls" if self.reply.tool_calls else "stop"

    @property
    def tool_calls(self) -> list[dict[str, Any]]:
        return [
            {
                "id": f"call_{self.identity[-12:]}_{place}",
                "type": "function",
                "function": {"name": call.name, "arguments": json.dumps(call.arguments)},
            }
            for place, call in enumerate(self.reply.tool_calls)
        ]


def check(request: ChatRequest) -> None:
    """Raise the `ApiError` that a strict server answers with, or return."""
    if request.model != CHAT_MODEL:
        raise no_such_model(request.model, CHAT_MODEL)
    if not request.messages:
        raise ApiError(400, "Invalid 'messages': empty array.", param="messages", code="empty_array")
    for place, message in enumerate(request.messages):
        if message.get("role") not in _ROLES:
            expected = f"Invalid role; expected one of {', '.join(_ROLES)}."
            raise ApiError(400, expected, param=f"messages.{place}.role", code="invalid_value")
    if request.tools == []:
        raise ApiError(400, "Invalid 'tools': empty array.", param="tools", code="empty_array")
    for place, tool in enumerate(request.tools or []):
        function: Any = tool.get("function")
        if tool.get("type") != "function" or not isinstance(function, dict) or "name" not in function:
            wanted = "A tool needs the type 'function' and a function with a name."
            raise ApiError(400, wanted, param=f"tools.{place}", code="invalid_value")
    _check_tool_choice(request)
    if request.stream_options is not None and not request.stream:
        raise ApiError(400, "'stream_options' is only allowed when 'stream' is true.", param="stream_options")
    if request.n not in (None, 1):
        raise ApiError(400, "This server gives one choice.", param="n", code="unsupported_value")
    if request.response_format and request.response_format.get("type") != "text":
        raise ApiError(400, "This server gives plain text only.", param="response_format", code="unsupported_value")


def _check_tool_choice(request: ChatRequest) -> None:
    choice = request.tool_choice
    if choice is None:
        return
    if not request.tools:
        raise ApiError(400, "'tool_choice' is only allowed when 'tools' are specified.", param="tool_choice")
    if isinstance(choice, str) and choice not in ("none", "auto", "required"):
        raise ApiError(400, f"Invalid value: '{choice}'.", param="tool_choice", code="invalid_value")
    if isinstance(choice, dict) and not _offered(request):
        missing = "'tool_choice' names a function that is not in 'tools'."
        raise ApiError(400, missing, param="tool_choice", code="invalid_value")


def _offered(request: ChatRequest) -> list[dict[str, Any]]:
    """The tools that the choice leaves."""
    tools = request.tools or []
    if request.tool_choice == "none":
        return []
    if isinstance(request.tool_choice, dict):
        wanted = request.tool_choice.get("function")
        name = cast(dict[str, Any], wanted).get("name") if isinstance(wanted, dict) else None
        return [tool for tool in tools if tool["function"]["name"] == name]
    return tools


def complete(request: ChatRequest) -> Completion:
    answer = reply(request.messages, _offered(request))
    # Rules have no tokens; words stand in for them, so that a usage report has something to count.
    read = sum(len(str(message.get("content") or "").split()) for message in request.messages)
    written = len(answer.text.split()) + sum(1 + len(call.arguments) for call in answer.tool_calls)
    usage = {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}
    return Completion(f"chatcmpl-{uuid.uuid4().hex}", int(time.time()), answer, usage)


def whole(completion: Completion) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": completion.reply.text or None, "refusal": None}
    if completion.tool_calls:
        message["tool_calls"] = completion.tool_calls
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": completion.finish_reason}
    return {**_head(completion, "chat.completion"), "choices": [choice], "usage": completion.usage}


def chunks(completion: Completion, include_usage: bool) -> Iterator[str]:
    yield _chunk(completion, {"role": "assistant", "content": None if completion.tool_calls else ""})
    for place, word in enumerate(completion.reply.text.split(" ") if completion.reply.text else []):
        yield _chunk(completion, {"content": f" {word}" if place else word})
    for place, call in enumerate(completion.tool_calls):
        opening = {**call, "function": {"name": call["function"]["name"], "arguments": ""}}
        yield _chunk(completion, {"tool_calls": [{"index": place, **opening}]})
        written = call["function"]["arguments"]
        for start in range(0, len(written), 16):
            piece = {"index": place, "function": {"arguments": written[start : start + 16]}}
            yield _chunk(completion, {"tool_calls": [piece]})
    yield _chunk(completion, {}, completion.finish_reason)
    if include_usage:
        yield _data({**_head(completion, "chat.completion.chunk"), "choices": [], "usage": completion.usage})
    yield "data: [DONE]\n\n"


def _chunk(completion: Completion, delta: dict[str, Any], finish_reason: str | None = None) -> str:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    return _data({**_head(completion, "chat.completion.chunk"), "choices": [choice], "usage": None})


def _head(completion: Completion, kind: str) -> dict[str, Any]:
    return {"id": completion.identity, "object": kind, "created": completion.created, "model": CHAT_MODEL}


def _data(body: dict[str, Any]) -> str:
    return f"data: {json.dumps(body)}\n\n"
