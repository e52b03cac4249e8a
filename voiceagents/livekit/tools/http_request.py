"""How does a model ask a web service? By a tool whose address, method and headers somebody wrote down: the model fills
in arguments, and what they may be is a JSON schema's word. What comes back is text for the model, or an error in words.
"""

import asyncio
import json
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, cast
from urllib.parse import quote

import httpx
from jsonschema import Draft202012Validator, ValidationError
from livekit.agents.llm import RawFunctionTool, ToolError, function_tool
from referencing import Registry

from voiceagents.assistants.tool_options import PLACEHOLDER, Http
from voiceagents.livekit.tools.guard import GuardedTransport, Refused
from voiceagents.livekit.tools.in_call import InCall
from voiceagents.livekit.tools.masking import UnknownSecret, filled, masked, secrets_of

LARGEST_ANSWER = 256 * 1024
"""Bytes read of an answer; what is longer is an error."""

TOLD = 6000
"""Characters of an answer that the model is given."""

_AGENT = "voiceagents"


def http_request(name: str, options: Http, call: InCall) -> RawFunctionTool[Any, Any]:
    """The tool under its own name."""

    async def ask(raw_arguments: dict[str, Any]) -> str:
        try:
            request = build(options, raw_arguments, call)
        except UnknownSecret as error:
            raise ToolError(f"This cannot be used now: {error}.") from None
        secrets = secrets_of({name: options}, call.secret)
        try:
            return masked(await send(request, options.timeout, call), secrets)
        except ToolError as error:
            # A service may repeat what it was sent.
            raise ToolError(masked(error.message, secrets)) from None

    return function_tool(
        ask, raw_schema={"name": name, "description": options.description, "parameters": options.parameters}
    )


def build(options: Http, arguments: Mapping[str, Any], call: InCall) -> httpx.Request:
    """The request for these arguments.

    Raises:
        ToolError: an argument is not as the schema wants it.
        UnknownSecret: the environment lacks a secret.
    """
    _check(options.parameters, arguments)
    used: set[str] = set()

    def value(found: re.Match[str]) -> str:
        name = found.group(1)
        if name not in arguments:
            raise ToolError(f"{name} is missing. Ask the caller for it.")
        used.add(name)
        # Encoded whole, so that no value adds a path, a query or a host of its own.
        return quote(_plain(arguments[name]), safe="").replace("..", "%2E%2E")

    url = httpx.URL(filled(PLACEHOLDER.sub(value, options.url), call.secret))
    headers = {name: filled(text, call.secret) for name, text in options.headers.items()}
    headers = {"User-Agent": _AGENT, "Accept": "application/json, text/plain;q=0.9, */*;q=0.1"} | headers
    # Packed answers could unpack to more than fits.
    headers["Accept-Encoding"] = "identity"
    rest = {name: one for name, one in arguments.items() if name not in used}
    if options.method in ("GET", "DELETE"):
        url = url.copy_merge_params({name: _plain(one) for name, one in rest.items()}) if rest else url
        return httpx.Request(options.method, url, headers=headers)
    return httpx.Request(options.method, url, headers=headers, json=rest)


async def send(request: httpx.Request, seconds: float, call: InCall) -> str:
    """Sends it once and answers with the text that came back.

    Raises:
        ToolError: what went wrong, in words; never what the service is called.
    """
    try:
        async with (
            asyncio.timeout(seconds),
            httpx.AsyncClient(
                transport=GuardedTransport(call.guard), timeout=seconds, follow_redirects=False, trust_env=False
            ) as client,
        ):
            answer = await client.send(request, stream=True)
            body = await _read(answer)
    except Refused as refused:
        raise ToolError(f"This service must not be asked: {refused}.") from None
    except (TimeoutError, httpx.TimeoutException):
        raise ToolError(f"The service did not answer within {seconds:g} seconds.") from None
    except httpx.HTTPError as error:
        raise ToolError(f"The service could not be reached ({type(error).__name__}).") from None
    if answer.is_redirect:
        raise ToolError("The service answered that it has moved elsewhere, and that is not followed.")
    text = body.decode(answer.charset_encoding or "utf-8", errors="replace").strip()
    if answer.is_error:
        raise ToolError(f"The service refused with status {answer.status_code}: {text[:500] or answer.reason_phrase}")
    return _shorter(text) or "Done."


async def _read(answer: httpx.Response) -> bytes:
    if answer.headers.get("content-encoding", "identity").lower() != "identity":
        raise ToolError("The service packs its answers, though it was asked not to.")
    body = bytearray()
    async for chunk in answer.aiter_raw():
        body += chunk
        if len(body) > LARGEST_ANSWER:
            raise ToolError(f"The service's answer is longer than {LARGEST_ANSWER // 1024} KiB.")
    return bytes(body)


def _shorter(text: str) -> str:
    """JSON without its blanks; text that is too long for a model is cut."""
    with suppress(ValueError, RecursionError):
        text = json.dumps(json.loads(text), ensure_ascii=False, separators=(",", ":"))
    return text if len(text) <= TOLD else f"{text[:TOLD]} … (cut)"


def _check(schema: Mapping[str, Any], arguments: Mapping[str, Any]) -> None:
    # With a registry of its own, or a reference to elsewhere would be fetched, past the guard.
    validator = Draft202012Validator(dict(schema), registry=Registry())
    found = validator.iter_errors(dict(arguments))  # pyright: ignore[reportUnknownMemberType]
    errors = sorted(cast("Iterable[ValidationError]", found), key=lambda error: list(map(str, error.path)))
    if errors:
        told = "; ".join(
            f"{'.'.join(map(str, error.path)) or 'arguments'}: {error.message[:200]}" for error in errors[:3]
        )
        raise ToolError(f"The arguments do not fit: {told}.")


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
