"""Tools that talk to other machines: a web service and an MCP server on loopback, which only whoever runs this can
allow."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio
import uvicorn
from aiohttp import web
from livekit.agents.llm import ToolError
from mcp.server import MCPServer

from tests.tool_desk import Desk, assistant
from voiceagents.calls.states import ToolStatus
from voiceagents.livekit.tools.guard import Guard
from voiceagents.livekit.tools.http_request import LARGEST_ANSWER, TOLD

pytestmark = pytest.mark.stack


@dataclass
class Shop:
    """A web service that remembers what it was asked."""

    asked: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    port: int = 0
    slow: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def url(self, path: str) -> str:
        return f"http://{self.host}{path}"

    async def answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.text()
        self.asked.append(
            {
                "method": request.method,
                "path": request.raw_path,
                "headers": dict(request.headers),
                "body": json.loads(body) if body else None,
            }
        )
        match request.path:
            case "/moved":
                raise web.HTTPFound("http://169.254.169.254/latest/meta-data/")
            case "/broken":
                return web.Response(status=500, text="the database of the shop is on fire")
            case "/huge":
                return web.Response(body=b"x" * (LARGEST_ANSWER + 1))
            case "/packed":
                return web.Response(body=b"\x1f\x8b", headers={"Content-Encoding": "gzip"})
            case "/long":
                return web.Response(text="word " * TOLD)
            case "/slow":
                await self.slow.wait()
                return web.Response(text="late")
            case "/empty":
                return web.Response(status=204)
            case _:
                return web.json_response({"status": "shipped", "arrives": "Friday"})


@pytest_asyncio.fixture
async def shop() -> AsyncIterator[Shop]:
    shop = Shop()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", shop.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    shop.port = runner.addresses[0][1]
    yield shop
    shop.slow.set()
    await runner.cleanup()


Ask = Callable[..., Awaitable[str]]


@pytest_asyncio.fixture
async def ask(shop: Shop) -> AsyncIterator[Ask]:
    """Uses a tool on the shop as a model does: options, then arguments. Errors come back as their words."""

    async def use(
        path: str, *, allowed: str | None = None, arguments: dict[str, Any] | None = None, **options: Any
    ) -> str:
        given = {"type": "http", "description": "Asks the shop.", "url": shop.url(path), **options}
        guard = Guard.of(shop.host if allowed is None else allowed)
        desk = Desk(assistant(tools={"shop": given}), guard=guard, secrets={"SHOP": "hunter2hunter2"})
        async with desk:
            try:
                return await desk.tool("shop")(raw_arguments=arguments or {})
            except ToolError as error:
                return f"ERROR {error.message}"

    yield use


ORDER = {"type": "object", "properties": {"id": {"type": "string"}, "n": {"type": "integer"}}, "required": ["id"]}


async def test_arguments_fill_the_path_and_the_rest_is_the_query(shop: Shop, ask: Ask) -> None:
    answer = await ask("/orders/{id}?lang=en", parameters=ORDER, arguments={"id": "A 17", "n": 2})
    assert answer == '{"status":"shipped","arrives":"Friday"}'
    assert shop.asked[0]["path"] == "/orders/A%2017?lang=en&n=2"


async def test_a_post_carries_the_rest_as_json(shop: Shop, ask: Ask) -> None:
    await ask("/orders/{id}", method="POST", parameters=ORDER, arguments={"id": "1", "n": 2})
    assert (shop.asked[0]["method"], shop.asked[0]["body"]) == ("POST", {"n": 2})


async def test_a_secret_travels_in_a_header_and_stands_nowhere_in_the_record(shop: Shop, ask: Ask) -> None:
    await ask("/x", headers={"Authorization": "Bearer secret:SHOP"})
    assert shop.asked[0]["headers"]["Authorization"] == "Bearer hunter2hunter2"


@pytest.mark.parametrize("value", ["../../admin", "..", "x/y", "x?admin=1", "x#y", "secret:SHOP", "@evil.example"])
async def test_no_value_reaches_beyond_its_place_in_the_path(shop: Shop, ask: Ask, value: str) -> None:
    await ask("/orders/{id}/status", parameters=ORDER, arguments={"id": value})
    (asked,) = shop.asked
    path = asked["path"]
    assert path.startswith("/orders/")
    assert path.endswith("/status")
    assert path.count("/") == 3
    assert not {"?", "#"} & set(path)
    assert "hunter2" not in str(asked)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [({}, "'id' is a required property"), ({"id": 5}, "id: 5 is not of type 'string'"), ({"id": "1", "n": "x"}, "n: ")],
)
async def test_arguments_that_do_not_fit_the_schema_are_refused_before_anything_is_asked(
    shop: Shop, ask: Ask, arguments: dict[str, Any], said: str
) -> None:
    assert said in await ask("/orders/{id}", parameters=ORDER, arguments=arguments)
    assert shop.asked == []


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/moved", "moved elsewhere, and that is not followed"),
        ("/broken", "refused with status 500: the database of the shop is on fire"),
        ("/huge", "longer than 256 KiB"),
        ("/packed", "packs its answers"),
    ],
)
async def test_what_goes_wrong_is_told_in_words(shop: Shop, ask: Ask, path: str, said: str) -> None:
    answer = await ask(path)
    assert answer.startswith("ERROR")
    assert said in answer
    assert len(shop.asked) == 1


async def test_a_service_that_does_not_answer_in_time_is_given_up(ask: Ask) -> None:
    assert "within 0.5 seconds" in await ask("/slow", timeout=0.5)


async def test_a_service_that_nobody_runs_is_an_error_in_words(ask: Ask) -> None:
    answer = await ask("", url="http://127.0.0.1:1/", allowed="127.0.0.1")
    assert answer == "ERROR The service could not be reached (ConnectError)."


async def test_a_long_answer_is_cut_for_the_model(ask: Ask) -> None:
    answer = await ask("/long")
    assert len(answer) < TOLD + 20
    assert answer.endswith("(cut)")


async def test_an_empty_answer_says_that_it_is_done(ask: Ask) -> None:
    assert await ask("/empty") == "Done."


@pytest.mark.parametrize("allowed", ["", "127.0.0.1:1", "localhost"])
async def test_this_machine_is_asked_only_when_it_is_allowed(shop: Shop, ask: Ask, allowed: str) -> None:
    answer = await ask("/x", allowed=allowed)
    assert "must not be asked" in answer
    assert "TOOL_ALLOWED_HOSTS" in answer
    assert shop.asked == []


async def test_a_name_that_turns_to_this_machine_after_the_check_is_not_followed(shop: Shop) -> None:
    """DNS rebinding: the second answer, which a client that asks again would get, is loopback."""
    answers = [["192.0.2.1"], ["127.0.0.1"]]

    async def resolve(host: str, port: int) -> list[str]:
        del host, port
        return answers.pop(0) if len(answers) > 1 else answers[0]

    given = {"type": "http", "description": "d", "url": f"http://rebind.example:{shop.port}/x", "timeout": 0.5}
    guard = Guard(frozenset({"rebind.example"}), resolve)
    async with Desk(assistant(tools={"shop": given}), guard=guard) as desk:
        with pytest.raises(ToolError, match=r"did not answer|could not be reached"):
            await desk.tool("shop")(raw_arguments={})
    assert shop.asked == []


async def test_a_tool_that_fails_in_a_conversation_is_told_and_kept_with_its_arguments(shop: Shop) -> None:
    """The offline model knows a tool that cancels; here that is a web service, and it is on fire."""
    schema = {
        "type": "object",
        "properties": {"phone": {"type": "string"}, "pin": {"type": "string", "default": "4711"}},
        "required": ["phone", "pin"],
    }
    given = {
        "type": "http",
        "description": "Cancels an order.",
        "method": "POST",
        "url": shop.url("/broken"),
        "parameters": schema,
        "headers": {"X-Key": "secret:SHOP"},
    }
    desk = Desk(
        assistant(tools={"cancel_order": given}), guard=Guard.of(shop.host), secrets={"SHOP": "the shop is on fire"}
    )
    async with desk:
        await desk.say("Please cancel my order, my number is +1 202 555 0143.")
        print(desk)
    (use,) = desk.used
    assert use.status is ToolStatus.ERROR
    assert use.arguments == {"phone": "+12025550143", "pin": "***"}
    assert shop.asked[0]["body"] == {"phone": "+12025550143", "pin": "4711"}
    assert use.result is not None
    assert use.result == "The service refused with status 500: the database of ***"
    assert "refused with status 500" in str(desk.session.history.messages()[-1].text_content), "the caller is told"
    assert "on fire" not in str(desk), "and of a secret that a service repeats, nothing"


# --- MCP --------------------------------------------------------------------------------------------------------------


@dataclass
class Running:
    """An MCP server under way, and the headers it was sent."""

    url: str
    host: str
    headers: list[dict[str, str]]


@pytest_asyncio.fixture
async def mcp_server() -> AsyncIterator[Running]:
    server = MCPServer("shop")

    @server.tool()
    def order_status(order: str) -> str:
        """Where an order is."""
        if order == "0":
            raise ValueError("there is no order 0")
        return f"Order {order} is on its way."

    @server.tool()
    def delete_everything() -> str:
        """Not for callers."""
        return "gone"

    app = server.streamable_http_app()
    seen: list[dict[str, str]] = []

    async def watched(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            seen.append({key.decode().lower(): value.decode() for key, value in scope["headers"]})
        await app(scope, receive, send)

    running = uvicorn.Server(uvicorn.Config(watched, host="127.0.0.1", port=0, log_level="warning"))
    serving = asyncio.create_task(running.serve())
    async with asyncio.timeout(20):
        while not running.started:  # noqa: ASYNC110  uvicorn announces it by nothing else
            await asyncio.sleep(0.02)
    port = running.servers[0].sockets[0].getsockname()[1]
    yield Running(f"http://127.0.0.1:{port}/mcp", f"127.0.0.1:{port}", seen)
    running.should_exit = True
    await serving


def names(desk: Desk) -> list[str]:
    from livekit.agents.llm import ToolContext

    return sorted(ToolContext(desk.equipment.tools).function_tools)


async def test_an_mcp_server_lends_the_tools_that_are_allowed(mcp_server: Running) -> None:
    given = {
        "type": "mcp",
        "url": mcp_server.url,
        "allowed_tools": ["order_status"],
        "headers": {"Authorization": "Bearer secret:CRM"},
    }
    desk = Desk(assistant(tools={"crm": given}), guard=Guard.of(mcp_server.host), secrets={"CRM": "hunter2"})
    async with desk:
        assert desk.equipment.missing == {}
        assert names(desk) == ["order_status"]
        toolset: Any = desk.equipment.tools[0]
        (tool,) = toolset.tools
        assert await tool(raw_arguments={"order": "7"}) == "Order 7 is on its way."
        with pytest.raises(ToolError, match="order_status"):
            await tool(raw_arguments={"order": "0"})
    assert {headers.get("authorization") for headers in mcp_server.headers} == {"Bearer hunter2"}


async def test_an_mcp_server_on_this_machine_is_not_asked_unless_it_is_allowed(mcp_server: Running) -> None:
    async with Desk(assistant(tools={"crm": {"type": "mcp", "url": mcp_server.url}})) as desk:
        assert names(desk) == []
        assert "crm" in desk.equipment.missing
        assert "crm" in desk.instructions
    assert mcp_server.headers == []
