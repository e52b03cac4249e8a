"""A stand-in for OpenAI's servers, with scripted replies and faults.

For tests of the path to a configured OpenAI-compatible server: the same HTTP contract as the real one, as strict as the
strict ones, and able to fail on demand. It says what it is told, hears what it is told, and keeps what it was sent.

    contract = Contract(replies=["Hi Ana."], transcripts=["hello"])
    async with serve(contract) as base_url:
        client = openai.AsyncClient(api_key=contract.api_key, base_url=base_url)
"""

import asyncio
import json
import math
import socket
import struct
from collections import deque
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse


class Fault(StrEnum):
    """What goes wrong with the next request of a kind."""

    BAD_REQUEST = "400"
    RATE_LIMIT = "429"
    SERVER_ERROR = "500"
    SLOW_FIRST_TOKEN = "slow first token"
    DROPPED_MIDWAY = "connection dropped mid-stream"


@dataclass
class ToolCall:
    name: str
    arguments: dict[str, Any] = field(default_factory=dict)


class Contract:
    """What the stand-in will say and how it will fail; and, afterwards, what it was asked."""

    def __init__(self, replies: Iterable[str | ToolCall] = (), transcripts: Iterable[str] = ()) -> None:
        self.api_key = "sk-contract"
        self.replies = deque(replies)
        self.transcripts = deque(transcripts)
        self.faults: dict[str, deque[Fault]] = {"chat": deque(), "speech": deque(), "transcription": deque()}
        self.slow_seconds = 2.0
        self.chats: list[dict[str, Any]] = []
        self.spoken: list[str] = []
        self.transcriptions = 0

    def fail(self, kind: str, *faults: Fault) -> None:
        """The next requests of a kind ("chat", "speech" or "transcription") meet these faults, one each."""
        self.faults[kind].extend(faults)


def _error(status: int, message: str, param: str | None = None, code: str | None = None) -> JSONResponse:
    kind = {401: "authentication_error", 429: "rate_limit_error", 500: "server_error"}.get(status)
    error = {"message": message, "type": kind or "invalid_request_error", "param": param, "code": code}
    return JSONResponse({"error": error}, status_code=status)


class _Dropped(Exception):
    """Ends a response before its end; the server closes the connection."""


def create_app(contract: Contract) -> FastAPI:
    app = FastAPI()

    def refusal(request: Request, fault: Fault | None) -> Response | None:
        if request.headers.get("authorization") != f"Bearer {contract.api_key}":
            return _error(401, "Incorrect API key provided.", code="invalid_api_key")
        if fault is Fault.BAD_REQUEST:
            return _error(400, "The request is not to our liking.")
        if fault is Fault.RATE_LIMIT:
            return _error(429, "Rate limit reached.", code="rate_limit_exceeded")
        if fault is Fault.SERVER_ERROR:
            return _error(500, "The server had an error.")
        return None

    def next_fault(kind: str) -> Fault | None:
        return contract.faults[kind].popleft() if contract.faults[kind] else None

    @app.get("/v1/models")
    async def models() -> dict[str, Any]:
        return {"object": "list", "data": []}

    @app.post("/v1/chat/completions")
    async def chat(request: Request) -> Response:
        fault = next_fault("chat")
        if refused := refusal(request, fault):
            return refused
        asked: dict[str, Any] = await request.json()
        contract.chats.append(asked)
        if asked.get("tools") == []:
            return _error(400, "Invalid 'tools': empty array.", "tools", "empty_array")
        if "tool_choice" in asked and "tools" not in asked:
            return _error(400, "'tool_choice' is only allowed when 'tools' are specified.", "tool_choice")
        said = contract.replies.popleft() if contract.replies else "I have nothing more to say. Goodbye."
        if not asked.get("stream"):
            return JSONResponse(_completion(asked["model"], said))
        usage = bool((asked.get("stream_options") or {}).get("include_usage"))
        return StreamingResponse(_stream(asked["model"], said, usage, fault), media_type="text/event-stream")

    async def _stream(model: str, said: str | ToolCall, usage: bool, fault: Fault | None) -> AsyncIterator[str]:
        if fault is Fault.SLOW_FIRST_TOKEN:
            await asyncio.sleep(contract.slow_seconds)  # the fault itself, not a wait for something
        deltas = list(_deltas(said))
        for place, delta in enumerate(deltas):
            if fault is Fault.DROPPED_MIDWAY and place > len(deltas) // 2:
                raise _Dropped
            yield _chunk(model, [{"index": 0, "delta": delta, "finish_reason": None}])
        reason = "tool_calls" if isinstance(said, ToolCall) else "stop"
        yield _chunk(model, [{"index": 0, "delta": {}, "finish_reason": reason}])
        if usage:
            yield _chunk(model, [], {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15})
        yield "data: [DONE]\n\n"

    @app.post("/v1/audio/speech")
    async def speech(request: Request) -> Response:
        if refused := refusal(request, next_fault("speech")):
            return refused
        asked: dict[str, Any] = await request.json()
        contract.spoken.append(asked["input"])
        if asked.get("response_format", "mp3") != "pcm":
            return _error(400, "The stand-in speaks pcm only.", "response_format")
        return Response(_tone(0.05 * max(1, len(asked["input"].split()))), media_type="audio/pcm")

    @app.post("/v1/audio/transcriptions")
    async def transcriptions(request: Request) -> Response:
        if refused := refusal(request, next_fault("transcription")):
            return refused
        if b"RIFF" not in await request.body():
            return _error(400, "Invalid file format.", "file")
        contract.transcriptions += 1
        return JSONResponse({"text": contract.transcripts.popleft() if contract.transcripts else ""})

    return app


def _completion(model: str, said: str | ToolCall) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": said if isinstance(said, str) else None}
    if isinstance(said, ToolCall):
        message["tool_calls"] = [{"id": "call_1", "type": "function", "function": _function(said)}]
    reason = "tool_calls" if isinstance(said, ToolCall) else "stop"
    return {
        "id": "chatcmpl-contract",
        "object": "chat.completion",
        "created": 0,
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": reason}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
    }


def _deltas(said: str | ToolCall) -> Iterable[dict[str, Any]]:
    yield {"role": "assistant", "content": ""}
    if isinstance(said, str):
        words = said.split(" ")
        yield from ({"content": word if place == 0 else f" {word}"} for place, word in enumerate(words))
        return
    function = _function(said)
    opening = {"name": function["name"], "arguments": ""}
    yield {"tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": opening}]}
    yield {"tool_calls": [{"index": 0, "function": {"arguments": function["arguments"]}}]}


def _function(call: ToolCall) -> dict[str, str]:
    return {"name": call.name, "arguments": json.dumps(call.arguments)}


def _chunk(model: str, choices: list[dict[str, Any]], usage: dict[str, int] | None = None) -> str:
    body = {"id": "chatcmpl-contract", "object": "chat.completion.chunk", "created": 0, "model": model}
    return f"data: {json.dumps({**body, 'choices': choices, 'usage': usage})}\n\n"


def _tone(seconds: float) -> bytes:
    samples = (int(8000 * math.sin(2 * math.pi * 440 * place / 24_000)) for place in range(int(24_000 * seconds)))
    return b"".join(struct.pack("<h", sample) for sample in samples)


@asynccontextmanager
async def serve(contract: Contract) -> AsyncIterator[str]:
    """The stand-in on a free loopback port, for as long as the block runs; gives the base URL."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
        server = uvicorn.Server(uvicorn.Config(create_app(contract), log_level="critical", lifespan="off"))
        running = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            yield f"http://127.0.0.1:{port}/v1"  # the socket is bound: a request that comes early waits in its queue
        finally:
            server.should_exit = True
            await running
