"""How long does the server take for each page of the web application, and does that depend on how much there is?

    python -m bench.pages                 # a million contacts and a million calls
    python -m bench.pages --rows 100000

Each page is asked for as a signed-in owner does, inside the process (no network), again and again, on an embedded
PostgreSQL of its own. The baseline is the same page of the same program with a thousand contacts and calls. A page may
take 200 ms; the exit status is 1 when one takes longer (95th percentile).
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
import psycopg

from voiceagents.db import Database
from voiceagents.postgres import EmbeddedPostgres
from voiceagents.schema import migrate
from voiceagents.settings import Settings
from voiceagents.web import sessions
from voiceagents.web.app import create_app
from voiceagents.web.models import Role, User

LIMIT = 0.2
BASELINE_ROWS = 1_000
CAMPAIGN = "00000000-0000-4000-8000-000000000001"

# Triggers tell live pages of every new call: a million at once would only measure that.
_SEED = f"""
SET session_replication_role = replica;
INSERT INTO assistants (id, name, prompt, first_message, language)
    SELECT 'assistant-' || n, 'Assistant ' || n, 'You answer.', '', 'en' FROM generate_series(1, 20) n;
INSERT INTO campaigns (id, name, state, prompt, trunk_id, time_zone, "window", started_at)
    SELECT CASE WHEN n = 1 THEN uuid '{CAMPAIGN}' ELSE gen_random_uuid() END, 'campaign ' || n,
        CASE WHEN n = 1 THEN 'running' ELSE 'completed' END, 'Hello {{name}}.', 'ST_bench', 'America/New_York',
        '{{"mon": [["00:00", "24:00"]], "tue": [["00:00", "24:00"]], "wed": [["00:00", "24:00"]],
          "thu": [["00:00", "24:00"]], "fri": [["00:00", "24:00"]], "sat": [["00:00", "24:00"]],
          "sun": [["00:00", "24:00"]]}}', now() - interval '30 days'
    FROM generate_series(1, 100) n;
INSERT INTO contacts (id, campaign_id, phone, name, email, zones, state, attempts, last_outcome, variables)
    SELECT md5('contact' || n)::uuid, '{CAMPAIGN}', '+1212' || lpad(n::text, 7, '0'),
        (ARRAY['Ana', 'Ben', 'Carla', 'David', 'Elena', 'Frank'])[1 + n % 6] || ' ' || n, '', 'America/New_York',
        CASE WHEN n % 10 < 6 THEN 'done' WHEN n % 10 < 9 THEN 'waiting' ELSE 'skipped' END, n % 3,
        CASE WHEN n % 10 < 6 THEN (ARRAY['completed', 'busy', 'no_answer', 'voicemail'])[1 + n % 4] END, '{{}}'
    FROM generate_series(1, %(rows)s) n;
INSERT INTO calls (id, direction, state, from_number, to_number, room_name, trunk_id, assistant_id, campaign_id,
        contact_id, contact_name, attempt, created_at, dispatched_at, dialing_at, answered_at, ended_at, settled_at,
        outcome, cause, sip_status, ended_by)
    SELECT md5('call' || n)::uuid, CASE WHEN n % 20 = 0 THEN 'inbound' ELSE 'outbound' END,
        CASE WHEN n <= 20 THEN 'queued' ELSE 'ended' END, '+15550199999', '+1212' || lpad(n::text, 7, '0'),
        'room-' || n, 'ST_bench', 'assistant-' || (1 + n % 20), '{CAMPAIGN}', md5('contact' || n), 'Ana ' || n, 1,
        at, at, at,
        CASE WHEN n % 3 = 0 THEN at + interval '5 s' END, CASE WHEN n > 20 THEN at + interval '60 s' END,
        CASE WHEN n > 20 THEN at END,
        CASE WHEN n > 20 THEN (ARRAY['completed', 'busy', 'no_answer', 'voicemail', 'failed'])[1 + n % 5] END,
        'cause ' || n % 7, CASE WHEN n % 5 = 1 THEN 486 END, 'carrier'
    FROM generate_series(1, %(rows)s) n, LATERAL (SELECT now() - n * interval '30 days' / %(rows)s AS at) t;
INSERT INTO turns (call_id, item_id, speaker, text, started_at, latencies)
    SELECT md5('call' || n * 10)::uuid, k::text, 'agent', 'Words number ' || n || ' about a lawn mower', now(), '{{}}'
    FROM generate_series(3, %(rows)s / 10) n, generate_series(1, 2) k;
INSERT INTO decisions (campaign_id, contact_id, verdict, rule, words)
    SELECT '{CAMPAIGN}', md5('contact' || n)::uuid, 'dial', 'all', 'no rule objects'
    FROM generate_series(1, %(rows)s) n;
INSERT INTO do_not_call (phone, reason) SELECT '+1312' || lpad(n::text, 7, '0'), 'asked' FROM
    generate_series(1, %(rows)s / 10) n;
"""
_PAGES = (
    "/campaigns",
    f"/campaigns/{CAMPAIGN}",
    f"/campaigns/{CAMPAIGN}/now",
    f"/campaigns/{CAMPAIGN}/plots/outcomes",
    f"/campaigns/{CAMPAIGN}/script",
    f"/campaigns/{CAMPAIGN}/hours",
    f"/campaigns/{CAMPAIGN}/check",
    f"/campaigns/{CAMPAIGN}/contacts",
    f"/campaigns/{CAMPAIGN}/contacts?state=waiting&after={{half}}",
    f"/campaigns/{CAMPAIGN}/contacts?outcome=busy",
    f"/campaigns/{CAMPAIGN}/contacts?search=%2B12120000500",
    f"/campaigns/{CAMPAIGN}/contacts?search=ana+7",
    f"/campaigns/{CAMPAIGN}/contacts/{{contact}}",
    "/calls",
    f"/calls?campaign={CAMPAIGN}&outcome=failed",
    "/calls?search=lawn+mower+500",
    "/calls?search=lawn",
    "/calls?search=%2B12120000500",
    "/calls/{call}",
    "/live",
    "/assistants",
    "/assistants/assistant-3",
    "/numbers",
    "/do-not-call",
    "/calendars",
    "/settings",
)


@dataclass(frozen=True)
class Measured:
    """One page. Seconds."""

    path: str
    first: float
    """Of the first request, which finds nothing in any memory; not counted among the others."""

    times: Sequence[float]

    @property
    def p50(self) -> float:
        return statistics.median(self.times)

    @property
    def p95(self) -> float:
        return sorted(self.times)[round(0.95 * (len(self.times) - 1))]


async def measured(url: str, folder: Path, rows: int, times: int) -> list[Measured]:
    """Every page on a database with so many contacts and calls."""
    migrate(url)
    _seed(url, rows)
    database = Database(url, pool_size=8)
    settings = Settings(
        **{"_env_file": None, "voiceagents_data": folder, "livekit_url": None, "sip_trunk_id": "ST_bench"}
    )
    async with database.transaction() as session:
        user = User(email="bench@example.com", name="Bench", role=Role.OWNER, password_hash="none")
        session.add(user)
        await session.flush()
        token = await sessions.start(session, user)
    transport = httpx.ASGITransport(create_app(settings, database))
    results: list[Measured] = []
    async with httpx.AsyncClient(
        transport=transport, base_url="http://localhost", cookies={"voiceagents": token}
    ) as web:
        await web.get("/calendars")  # templates and connections of a process that has just started
        for page in _PAGES:
            path = page.format(half=rows // 2, contact=_uuid("contact100"), call=_uuid("call30"))
            taken: list[float] = []
            for _ in range(times + 1):
                began = time.perf_counter()
                answer = await web.get(path)
                taken.append(time.perf_counter() - began)
                assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text[:300]}"
            results.append(Measured(page, taken[0], taken[1:]))
    await database.close()
    return results


def _uuid(text: str) -> str:
    from hashlib import md5
    from uuid import UUID

    return str(UUID(md5(text.encode()).hexdigest()))


def _seed(url: str, rows: int) -> None:
    """Rows first, indexes afterwards: ten times as fast."""
    tables = ("contacts", "calls", "turns", "do_not_call", "decisions")
    with psycopg.connect(url, autocommit=True) as connection:
        kept = connection.execute(
            "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = ANY(%s) AND schemaname = 'public'"
            " AND indexname NOT IN (SELECT conname FROM pg_constraint)",
            (list(tables),),
        ).fetchall()
        for name, _ in kept:
            connection.execute(f'DROP INDEX "{name}"'.encode())
        connection.execute((_SEED.replace("%(rows)s", str(rows))).encode())
        for _, definition in kept:
            connection.execute(str(definition).encode())
        connection.execute("VACUUM ANALYZE")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000, help="contacts, and as many calls")
    parser.add_argument("--times", type=int, default=20, help="how often each page is asked for")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="voiceagents-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)
        server = EmbeddedPostgres(folder / "postgres")
        address = server.start()
        try:
            with psycopg.connect(address, autocommit=True) as connection:
                connection.execute("ALTER SYSTEM SET fsync = off")
                connection.execute("ALTER SYSTEM SET max_wal_size = '8GB'")
                connection.execute("SELECT pg_reload_conf()")
                for database in ("few", "many"):
                    connection.execute(f"CREATE DATABASE {database}".encode())
            from sqlalchemy import make_url

            def url(database: str) -> str:
                return make_url(address).set(database=database).render_as_string(hide_password=False)

            few = asyncio.run(measured(url("few"), folder, BASELINE_ROWS, options.times))
            began = time.perf_counter()
            many = asyncio.run(measured(url("many"), folder, options.rows, options.times))
            print(f"seeded and measured {options.rows} contacts and calls in {time.perf_counter() - began:.0f} s")
        finally:
            server.stop("immediate")
    print(f"{'page':58} {'p50 ms':>8} {'p95 ms':>8} {'first':>8} {'1k rows':>8} {'ratio':>6}")
    slow = 0
    for base, one in zip(few, many, strict=True):
        path = one.path.replace(CAMPAIGN, "…")
        late = one.p95 > LIMIT
        slow += late
        row = (one.p50, one.p95, one.first, base.p50)
        print(
            f"{path:58} {' '.join(f'{seconds * 1000:8.1f}' for seconds in row)} {one.p50 / base.p50:6.1f}"
            f"{'  over 200 ms' if late else ''}"
        )
    worst = max(many, key=lambda one: one.p95)
    print(f"the slowest takes {worst.p95 * 1000:.0f} ms (p95), {slow} of {len(many)} pages take longer than 200 ms")
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
