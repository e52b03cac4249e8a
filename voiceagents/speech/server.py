"""Which requests does the local speech server answer?

Those that the OpenAI plugin of livekit-agents sends: speech, transcriptions, chat completions and the list of models,
behind one bearer key, with OpenAI's error objects. `GET /healthz` needs no key.
"""

import asyncio
import gc
import hmac
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any, Literal, TypeVar

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from voiceagents.voices import hibari

from . import CHAT_MODEL, TRANSCRIPTION_MODEL, VOICE_MODEL, chat, listening, speaking
from .errors import ApiError, answer_errors_as_openai_does, from_validation, no_such_model
from .form import parse_form

MAX_UPLOAD = 25 * 1024 * 1024
MAX_JSON = 4 * 1024 * 1024
_MODELS = (CHAT_MODEL, TRANSCRIPTION_MODEL, VOICE_MODEL)

log = logging.getLogger(__name__)
Body = TypeVar("Body", bound=BaseModel)


def create_app(api_key: str) -> FastAPI:
    """The server, open to who holds `api_key`. Models are loaded before it takes its first request."""
    if not api_key:
        raise ValueError("the speech server needs a key: without one, any program on this machine could use it")

    async def allowed(request: Request) -> None:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), api_key.encode()):
            raise ApiError(401, "Incorrect API key provided.", code="invalid_api_key")

    app = FastAPI(title="voiceagents offline speech", lifespan=_with_models, openapi_url=None)
    answer_errors_as_openai_does(app)
    app.add_api_route("/healthz", _health)
    app.include_router(_routes, prefix="/v1", dependencies=[Depends(allowed)])
    return app


@asynccontextmanager
async def _with_models(app: FastAPI) -> AsyncGenerator[None]:
    started = time.perf_counter()
    await asyncio.gather(asyncio.to_thread(listening.load), asyncio.to_thread(hibari, "Ready."))
    gc.collect()
    gc.freeze()  # the audio decoder collects garbage after each file: what stays loaded need not be looked at again
    log.info("models loaded in %.1f s", time.perf_counter() - started)
    app.state.listener = listening.Listener()
    yield
    app.state.listener.close()


async def _health() -> dict[str, str]:
    return {"status": "ok"}


# --- reading requests ------------------------------------------------------------------------------------------------


async def _read(request: Request, limit: int) -> bytes:
    """The body, refused as soon as it is known to be over the limit."""
    too_large = ApiError(413, f"The request is larger than {limit} bytes.", code="request_too_large")
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > limit:
        raise too_large
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise too_large
    return bytes(body)


async def _read_json(request: Request, kind: type[Body]) -> Body:
    try:
        return kind.model_validate_json(await _read(request, MAX_JSON))
    except ValidationError as error:
        raise from_validation(error) from None


# --- routes ----------------------------------------------------------------------------------------------------------

_routes = APIRouter()


@_routes.get("/models")
async def list_models() -> dict[str, Any]:
    return {"object": "list", "data": [_model(name) for name in _MODELS]}


@_routes.get("/models/{name}")
async def get_model(name: str) -> dict[str, Any]:
    if name not in _MODELS:
        raise ApiError(404, f"The model '{name}' does not exist.", param="model", code="model_not_found")
    return _model(name)


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "voiceagents-offline"}


@_routes.post("/chat/completions")
async def chat_completions(request: Request) -> Response:
    asked = await _read_json(request, chat.ChatRequest)
    chat.check(asked)
    completion = chat.complete(asked)
    if not asked.stream:
        return JSONResponse(chat.whole(completion))
    usage = asked.stream_options is not None and asked.stream_options.include_usage
    return StreamingResponse(_now(chat.chunks(completion, usage)), media_type="text/event-stream")


async def _now(parts: Iterator[str]) -> AsyncIterator[str]:
    """Parts that take no time to make: a thread for each, which a plain iterator would get, costs more than they do."""
    for part in parts:
        yield part


class SpeechRequest(BaseModel):
    """What is read of a request; there is one voice, so every name of a voice means it."""

    model_config = ConfigDict(extra="ignore")

    model: str
    input: str = Field(min_length=1, max_length=4096)
    voice: str | dict[str, Any] = "heart"
    response_format: str = "mp3"
    speed: float = Field(1.0, ge=0.25, le=4.0)
    stream_format: Literal["audio", "sse"] = "audio"


@_routes.post("/audio/speech")
async def speech(request: Request) -> Response:
    asked = await _read_json(request, SpeechRequest)
    if asked.model != VOICE_MODEL:
        raise no_such_model(asked.model, VOICE_MODEL)
    if asked.response_format not in speaking.FORMATS:
        formats = " or ".join(speaking.FORMATS)
        message = f"Unsupported response_format '{asked.response_format}': this offline voice gives {formats}."
        raise ApiError(400, message, param="response_format", code="unsupported_format")
    audio = (speaking.pcm if asked.response_format == "pcm" else speaking.wav)(asked.input, asked.speed)
    if asked.stream_format == "sse":
        return StreamingResponse(speaking.events(asked.input, audio), media_type="text/event-stream")
    return StreamingResponse(audio, media_type=f"audio/{asked.response_format}")


@_routes.post("/audio/transcriptions")
async def transcriptions(request: Request) -> Response:
    body = await _read(request, MAX_UPLOAD)
    form = await asyncio.to_thread(parse_form, request.headers.get("content-type", ""), body)
    if form is None:
        raise ApiError(400, "The body must be multipart/form-data.", code="invalid_body")
    if "file" not in form.files:
        raise ApiError(400, "Missing required parameter: 'file'.", param="file", code="missing_required_parameter")
    if (model := form.fields.get("model", "")) != TRANSCRIPTION_MODEL:
        raise no_such_model(model, TRANSCRIPTION_MODEL)
    shape = form.fields.get("response_format", "json")
    if shape not in ("json", "text", "verbose_json"):
        message = f"Unsupported response_format '{shape}': choose json, text or verbose_json."
        raise ApiError(400, message, param="response_format", code="unsupported_format")
    language = form.fields.get("language") or "en"
    if not language.lower().startswith("en"):
        raise ApiError(
            400, "The offline model understands English only.", param="language", code="unsupported_language"
        )
    return await _transcribed(request, form.files["file"], shape)


async def _transcribed(request: Request, recording: bytes, shape: str) -> Response:
    listener: listening.Listener = request.app.state.listener
    try:
        text, seconds = await listener.transcribe(recording)
    except listening.NotAudio as error:
        raise ApiError(400, f"Invalid file format: {error}.", param="file", code="invalid_file") from error
    except listening.TooBusy as error:
        raise ApiError(503, f"The offline model is busy: {error}.", code="overloaded") from error
    if shape == "text":
        return PlainTextResponse(f"{text}\n")
    if shape == "json":
        return JSONResponse({"text": text, "usage": {"type": "duration", "seconds": round(seconds, 3)}})
    return JSONResponse(
        {"task": "transcribe", "language": "english", "duration": seconds, "text": text, "segments": []}
    )
