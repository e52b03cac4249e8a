"""A stand-in for a Supabase project's REST API: PostgREST's contract in front of a real PostgreSQL, with faults.

Reading only, and as strict as the real one (docs.postgrest.org, "Tables and Views", "Errors"; the gateway's answers to
a missing or wrong key are Supabase's): filters `eq` and `like` with `*` for any text, `select`, `limit`. Types and
errors are PostgreSQL's own: a column that is not there, an id that is no UUID.

    with serve(database_url) as project:
        httpx.get(f"{project.url}/rest/v1/assistant", headers={"apikey": project.key})
"""

import json
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast
from urllib.parse import parse_qsl, unquote, urlsplit

import psycopg
from psycopg.sql import SQL, Composable, Composed, Identifier, Literal
from sqlalchemy import make_url

TABLES = """
CREATE TABLE assistant (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name text, prompt text, first_message text,
    calendar text, cal_api_key text, cal_event_type_id text, cal_timezone text DEFAULT 'UTC',
    llm_provider_setting text DEFAULT 'OpenAI', llm_model_setting text, temperature_setting numeric,
    voice_provider_setting text DEFAULT 'OpenAI', voice_name_setting text, end_call_message text,
    silence_timeout integer, max_call_duration integer DEFAULT 30, transfer_enabled boolean DEFAULT false,
    transfer_phone_number text, transfer_country_code text DEFAULT '+1', created_at timestamptz DEFAULT now()
);
CREATE TABLE phone_number (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), number text NOT NULL, label text,
    inbound_assistant_id uuid REFERENCES assistant(id) ON DELETE SET NULL, status text DEFAULT 'active'
);
"""
"""The part of a sass-livekit database that answers calls."""

_STATUS = {"42703": 400, "42P01": 404, "42501": 403, "22P02": 400, "57014": 500}


@dataclass
class Project:
    """What the stand-in is, how it shall fail, and what it was asked."""

    database_url: str
    key: str = "service-role-key-of-the-tests"
    url: str = ""
    asked: list[str] = field(default_factory=list[str])
    fails_with: tuple[int, str, bytes] | None = None
    """Status, content type and body of every answer from now on."""
    hangs: threading.Event | None = None
    """No answer before this is set."""

    def reset(self) -> None:
        """Forgets everything, rows included."""
        self.execute("TRUNCATE assistant, phone_number")
        self.asked.clear()
        self.fails_with = self.hangs = None

    def execute(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Runs a statement in the project's database."""
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            cursor = connection.execute(cast(Any, statement), values)
            return cursor.fetchall() if cursor.description else []

    def add(self, number: str | None, **assistant: object) -> str:
        """Adds an assistant, and a number that it answers."""
        names = SQL(", ").join(map(Identifier, assistant))
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            row = connection.execute(
                SQL("INSERT INTO assistant ({}) VALUES ({}) RETURNING id").format(
                    names, SQL(", ").join(map(Literal, assistant.values()))
                )
            ).fetchone()
            assert row is not None
            if number is not None:
                connection.execute(
                    "INSERT INTO phone_number (number, inbound_assistant_id) VALUES (%s, %s)", (number, row[0])
                )
        return str(row[0])


@contextmanager
def serve(database_url: str) -> Generator[Project]:
    """The stand-in on a port of its own, with its tables made in this database."""
    plain = make_url(database_url).set(drivername="postgresql").render_as_string(hide_password=False)
    project = Project(plain)
    project.execute(TABLES)

    class Handler(_Handler):
        of = project

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    project.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield project
    finally:
        if project.hangs is not None:
            project.hangs.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Refused(Exception):
    def __init__(self, status: int, **body: str | None) -> None:
        super().__init__(status)
        self.status = status
        self.body = body


def _error(status: int, code: str, message: str) -> _Refused:
    return _Refused(status, code=code, details=None, hint=None, message=message)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    of: Project

    def do_GET(self) -> None:
        self.of.asked.append(unquote(self.path))
        if self.of.hangs is not None:
            self.of.hangs.wait(30)
        if self.of.fails_with is not None:
            self._answer(*self.of.fails_with)
            return
        try:
            rows = self._rows()
        except _Refused as refused:
            self._answer(refused.status, "application/json; charset=utf-8", json.dumps(refused.body).encode())
        else:
            self._answer(200, "application/json; charset=utf-8", rows)

    def _rows(self) -> bytes:
        key = self.headers.get("apikey")
        if key is None:
            raise _Refused(
                401, message="No API key found in request", hint="No `apikey` request header or url param was found."
            )
        if key != self.of.key:
            raise _Refused(
                401, message="Invalid API key", hint="Double check your Supabase `anon` or `service_role` API key."
            )
        if self.headers.get("Authorization") != f"Bearer {self.of.key}":
            raise _error(401, "PGRST301", 'JWSError (JSONDecodeError "Not valid base64url")')
        schema = self.headers.get("Accept-Profile", "public")
        if schema != "public":
            raise _error(406, "PGRST106", "The schema must be one of the following: public, graphql_public")
        parts = urlsplit(self.path)
        if not parts.path.startswith("/rest/v1/"):
            raise _Refused(404, message="no Route matched with those values")
        table = unquote(parts.path.removeprefix("/rest/v1/"))
        with psycopg.connect(self.of.database_url) as connection:
            found = connection.execute(
                "SELECT 1 FROM information_schema.tables WHERE table_schema = 'public' AND table_name = %s", (table,)
            ).fetchone()
            if found is None:
                raise _error(404, "PGRST205", f"Could not find the table 'public.{table}' in the schema cache")
            try:
                row = connection.execute(_query(table, parse_qsl(parts.query))).fetchone()
            except psycopg.Error as error:
                state = error.sqlstate or "XX000"
                message = error.diag.message_primary or str(error)
                raise _error(_STATUS.get(state, 500), state, message) from None
        assert row is not None
        return str(row[0]).encode()

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing: `asked` holds it all."""


def _query(table: str, parameters: list[tuple[str, str]]) -> Composed:
    """PostgREST's URL grammar, as far as it is spoken here, as SQL."""
    columns: Composable = SQL("*")
    conditions: list[Composable] = [SQL("true")]
    limit: Composable = SQL("")
    for name, value in parameters:
        if name == "select":
            columns = SQL("*") if value == "*" else SQL(", ").join(Identifier(column) for column in value.split(","))
        elif name == "limit":
            limit = SQL("LIMIT {}").format(Literal(int(value)))
        else:
            operator, _, operand = value.partition(".")
            if operator == "eq":
                conditions.append(SQL("{} = {}").format(Identifier(name), Literal(operand)))
            elif operator == "like":
                conditions.append(SQL("{} LIKE {}").format(Identifier(name), Literal(operand.replace("*", "%"))))
            else:
                raise _error(400, "PGRST100", f'"failed to parse filter ({value})" (line 1, column 1)')
    return SQL("SELECT coalesce(json_agg(found), '[]')::text FROM (SELECT {} FROM {} WHERE {} {}) AS found").format(
        columns, Identifier(table), SQL(" AND ").join(conditions), limit
    )
