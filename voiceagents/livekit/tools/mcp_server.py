"""How does an assistant get the tools of an MCP server? livekit-agents' client lists and calls them; here is which
machines it may talk to, how long it may take, and that its answers are plain words.
"""

import asyncio
from typing import Any

import httpx2
from livekit.agents.llm import ToolError
from livekit.agents.llm.mcp import MCPServerHTTP, MCPToolResultContext, MCPToolset

from voiceagents.assistants.tool_options import Mcp
from voiceagents.livekit.tools.guard import Guard, certificates, pin
from voiceagents.livekit.tools.in_call import InCall
from voiceagents.livekit.tools.masking import filled

CONNECT_WITHIN = 4.0
"""Seconds: longer, and the caller would wait for the server before they hear a word."""

_TOLD = 6000


class _Guarded(httpx2.AsyncBaseTransport):
    """As `guard.GuardedTransport`, for the client that MCP brings along."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._inner = httpx2.AsyncHTTPTransport(verify=certificates(), trust_env=False)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        await pin(self._guard, request)
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        await self._inner.aclose()


class _GuardedServer(MCPServerHTTP):
    def __init__(self, options: Mcp, call: InCall) -> None:
        headers = {name: filled(text, call.secret) for name, text in options.headers.items()}
        super().__init__(
            filled(options.url, call.secret),
            allowed_tools=options.allowed_tools or None,
            headers=headers,
            timeout=options.timeout,
            client_session_timeout_seconds=options.timeout,
            tool_result_resolver=_words,
        )
        self._guard = call.guard

    def _create_http_client(
        self,
        headers: dict[str, Any] | None = None,
        timeout: httpx2.Timeout | None = None,
        auth: httpx2.Auth | None = None,
    ) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(
            transport=_Guarded(self._guard),
            headers=self.headers if headers is None else headers,
            timeout=timeout or httpx2.Timeout(self._timeout, read=self._sse_read_timeout),
            auth=auth,
            trust_env=False,
        )


async def connected(name: str, options: Mcp, call: InCall) -> MCPToolset:
    """The server's tools, fetched.

    Raises:
        UnknownSecret: the environment lacks a secret of its headers.
        TimeoutError, Exception: it cannot be reached, or is no MCP server; the client's errors are of many kinds.
    """
    tools = MCPToolset(id=name, mcp_server=_GuardedServer(options, call))
    try:
        async with asyncio.timeout(CONNECT_WITHIN):
            await tools.setup()
    except BaseException:
        await tools.aclose()
        raise
    return tools


def _words(answer: MCPToolResultContext) -> str:
    """What the server says in text; other content is named only."""
    parts = [str(getattr(part, "text", None) or f"({part.type})") for part in answer.result.content]
    text = "\n".join(parts).strip()
    if not text:
        raise ToolError(f"{answer.tool_name} answered nothing.")
    return text if len(text) <= _TOLD else f"{text[:_TOLD]} … (cut)"
