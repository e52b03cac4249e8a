"""Who answers? Time from the question to the assistant: our database, Supabase warm and cold, and with dead sources.

Everything is real: PostgreSQL over its socket, PostgREST's contract over HTTP with `--latency` milliseconds of network
in front of each answer, a source that hangs and one that refuses. The baseline, in the same run, is what a resolver
without memory does, as sass-livekit's own: two requests to Supabase for each call, one after the other.
Limits that it is held to: 20 ms at the 95th percentile for one call at a time with nothing remembered, and for ten in
one moment, to ten numbers, with what was said in the last second; one second with a dead source. Ten at once with
nothing remembered have no limit of their own: they share the recorder's few connections.
"""

import argparse
import asyncio
import itertools
import logging
import os
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
from pydantic import SecretStr
from rich.console import Console
from rich.table import Table
from sqlalchemy.ext.asyncio import AsyncSession

from tests.postgrest import Project, serve
from voiceagents.assistants import store
from voiceagents.assistants.draft import AssistantDraft
from voiceagents.assistants.resolver import Answers, Resolved, Resolver
from voiceagents.assistants.supabase import Supabase
from voiceagents.calls.recorder import Recorder
from voiceagents.postgres import EmbeddedPostgres
from voiceagents.schema import migrate

NUMBERS = [f"+1202555014{digit}" for digit in range(10)]
OURS, THEIRS = NUMBERS[3], "+12025550188"
WARM_LIMIT, DEAD_LIMIT = 0.020, 1.0

console = Console(width=110)


@dataclass(frozen=True)
class Measured:
    """Seconds that each resolve took."""

    what: str
    seconds: list[float]
    limit: float | None = None

    @property
    def p95(self) -> float:
        return statistics.quantiles(self.seconds, n=20, method="inclusive")[-1]

    @property
    def held(self) -> bool:
        """Within its limit: the 95th percentile when warm, every single one when a source is dead."""
        if self.limit is None:
            return True
        return (self.p95 if self.limit == WARM_LIMIT else max(self.seconds)) < self.limit

    def row(self, baseline: float) -> tuple[str, ...]:
        p50 = statistics.median(self.seconds)
        limit = "" if self.limit is None else f"{'held' if self.held else 'BROKEN'} ({self.limit * 1000:.0f} ms)"
        times = [f"{value * 1000:.2f}" for value in (p50, self.p95, max(self.seconds))]
        return (self.what, str(len(self.seconds)), *times, f"{baseline / p50:.1f}", limit)


async def measured(
    what: str, rounds: int, call: Callable[[], Awaitable[Any]], limit: float | None = None, at_once: int = 1
) -> Measured:
    """Times `rounds` calls, `at_once` of them side by side."""
    seconds: list[float] = []

    async def one() -> None:
        started = time.perf_counter()
        await call()
        seconds.append(time.perf_counter() - started)

    while len(seconds) < rounds:
        await asyncio.gather(*(one() for _ in range(at_once)))
    return Measured(what, seconds, limit)


@contextmanager
def hanging() -> Iterator[str]:
    """An address that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=512) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def in_front_of(project: Project, latency: float, stack: ExitStack) -> str:
    """The project behind a network: each answer comes `latency` seconds later."""
    near = stack.enter_context(httpx.Client(base_url=project.url))

    class Far(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            answer = near.get(self.path, headers={name: self.headers[name] for name in ("apikey", "Authorization")})
            time.sleep(latency)  # the network is what is played here
            self.send_response(answer.status_code)
            self.send_header("Content-Type", answer.headers["content-type"])
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Far)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    stack.callback(server.shutdown)
    return f"http://127.0.0.1:{server.server_address[1]}"


async def measure(rounds: int, dead_rounds: int, latency: float) -> list[Measured]:
    """All rows, the baseline first."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="voiceagents-bench-")))
        os.chmod(folder, 0o755)  # the database runs as a user of its own
        postgres = EmbeddedPostgres(folder / "postgres")
        url = postgres.start()
        stack.callback(postgres.stop)
        migrate(url)
        project = stack.enter_context(serve(url))
        project.add(THEIRS, name="Theirs", prompt="Be kind. " * 200, first_message="Hello.")
        far = in_front_of(project, latency, stack)
        recorder = Recorder(url, folder / "spool")
        recorder.start()
        stack.callback(recorder.close)

        async def ask(question: Callable[[AsyncSession], Awaitable[Answers]]) -> Answers:
            return await recorder.ask(question, seconds=1.0, after_writes=False)

        async def dead(question: Callable[[AsyncSession], Awaitable[Answers]]) -> Answers:
            return await asyncio.Future[Answers]()

        async def add(session: AsyncSession) -> None:
            await store.add(session, AssistantDraft(id="ours", name="Ours", prompt="Be kind. " * 200))
            for number in NUMBERS:
                await store.bind(session, number, "ours")

        await recorder.ask(add)

        def supabase(at: str) -> Supabase:
            source = Supabase(at, SecretStr(project.key))
            stack.callback(source.close)
            return source

        def calls(resolver: Resolver, did: str, question: Any = ask) -> Callable[[], Awaitable[Resolved]]:
            return lambda: resolver.inbound(question, job_assistant_id=None, room_assistant_id=None, did=did)

        def in_turn(resolver: Resolver) -> Callable[[], Awaitable[Resolved]]:
            numbers = itertools.cycle(NUMBERS)
            return lambda: calls(resolver, next(numbers))()

        def without_memory() -> Callable[[], Awaitable[object]]:
            headers = {"apikey": project.key, "Authorization": f"Bearer {project.key}"}
            client = httpx.AsyncClient(base_url=f"{far}/rest/v1", headers=headers)

            async def call() -> object:
                number = {"select": "inbound_assistant_id", "number": f"eq.{THEIRS}"}
                found = (await client.get("/phone_number", params=number)).json()
                assistant = {"select": "*", "id": f"eq.{found[0]['inbound_assistant_id']}"}
                return (await client.get("/assistant", params=assistant)).json()

            return call

        nobody, hangs = "http://127.0.0.1:9", stack.enter_context(hanging())
        both, never = Resolver(supabase(far)), Resolver(supabase(far), cache_seconds=0)
        # What a process does once, when it starts, is not in the times.
        for resolver, did in ((both, THEIRS), (never, THEIRS), (Resolver(), OURS)):
            found = await calls(resolver, did)()
            assert found.id is not None, did
        few, ours = max(20, rounds // 10), Resolver()
        rows = [
            await measured("baseline: Supabase, no memory", few, without_memory()),
            await measured("our database, cold", rounds, calls(Resolver(cache_seconds=0), OURS), WARM_LIMIT),
            await measured("the same, 10 at once", rounds, in_turn(Resolver(cache_seconds=0)), at_once=10),
            await measured("our database, warm", rounds, in_turn(ours), WARM_LIMIT),
            await measured("the same, 10 at once", rounds, in_turn(ours), WARM_LIMIT, at_once=10),
            await measured("Supabase, warm", rounds, calls(both, THEIRS), WARM_LIMIT),
            await measured("Supabase, cold", few, calls(never, THEIRS)),
        ]
        for what, resolver, did, question in (
            ("database hangs, no Supabase", Resolver(), OURS, dead),
            ("database hangs, Supabase cold", never, THEIRS, dead),
            ("Supabase hangs", Resolver(supabase(hangs)), THEIRS, ask),
            ("Supabase refuses connections", Resolver(supabase(nobody)), THEIRS, ask),
            ("both hang", Resolver(supabase(hangs)), THEIRS, dead),
            ("database hangs, Supabase warm", both, THEIRS, dead),
        ):
            rows.append(await measured(what, dead_rounds, calls(resolver, did, question), DEAD_LIMIT))
        return rows


def main() -> int:
    """Prints the table; 1 when a limit is broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=500)
    parser.add_argument("--dead-rounds", type=int, default=10)
    parser.add_argument("--latency", type=float, default=40, help="Milliseconds of network before each answer.")
    given = parser.parse_args()
    logging.getLogger("voiceagents").setLevel(logging.CRITICAL)
    rows = asyncio.run(measure(given.rounds, given.dead_rounds, given.latency / 1000))
    table = Table(title=f"Resolving the assistant of a call (ms; Supabase {given.latency:.0f} ms away)")
    for name in ("source", "calls", "p50", "p95", "longest", "× baseline", "limit"):
        table.add_column(name, justify="left" if name in ("source", "limit") else "right", no_wrap=True)
    baseline = statistics.median(rows[0].seconds)
    for row in rows:
        table.add_row(*row.row(baseline))
    console.print(table)
    return 0 if all(row.held for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
