"""Who answers a number, as a Supabase project has it? Two tables, read over PostgREST (https://docs.postgrest.org).

Nothing is ever written there. The client is used from worker threads, so that calls with event loops of their own
share its connections.
"""

import asyncio
import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import httpx
from pydantic import SecretStr

from voiceagents.assistants import dialled, supabase_rows
from voiceagents.assistants.resolved import Resolved
from voiceagents.assistants.resolver import By, Wanted
from voiceagents.assistants.supabase_rows import SupabaseMapping

_TIMES = httpx.Timeout(0.8, connect=0.4)
_MOST = 50
"""Rows that hold the digits of a number, at most."""
_NOT_AN_ID = "22P02"
"""PostgreSQL: the text is no value of the column's type, such as an id of ours where ids are UUIDs."""


class SupabaseProblem(Exception):
    """Supabase did not answer with rows; the message says why and how to mend it, and holds no secret."""


class Supabase:
    """One project, as a source of the resolver."""

    name = supabase_rows.RESOLVER

    def __init__(self, url: str, service_role_key: SecretStr, mapping: SupabaseMapping | None = None) -> None:
        """A project at `url` (`https://….supabase.co`), whose tables are as `mapping` says."""
        self._mapping = mapping or SupabaseMapping()
        key = service_role_key.get_secret_value()
        headers = {"apikey": key, "Authorization": f"Bearer {key}", "Accept": "application/json"}
        if self._mapping.schema_name:
            headers["Accept-Profile"] = self._mapping.schema_name
        base = url.rstrip("/").removesuffix("/rest/v1")
        self._client = httpx.Client(base_url=f"{base}/rest/v1", headers=headers, timeout=_TIMES)

    async def look_up(self, wanted: Sequence[Wanted]) -> Mapping[Wanted, Resolved | None]:
        """What it knows of each, up to the first that it knows.

        Raises:
            SupabaseProblem: it cannot say.
        """
        return await asyncio.to_thread(self._look_up, wanted)

    def close(self) -> None:
        """Ends its connections."""
        self._client.close()

    def _look_up(self, wanted: Sequence[Wanted]) -> dict[Wanted, Resolved | None]:
        said: dict[Wanted, Resolved | None] = {}
        for one in wanted:
            number, assistant_id = (None, one.value) if one.by is By.ID else self._answering(one.value)
            found = self._assistant(assistant_id) if assistant_id else None
            said[one] = replace(found, number=number) if found else None
            if said[one] is not None:
                break
        return said

    def _answering(self, number: str) -> tuple[str | None, str | None]:
        """The number that was dialled, in full, and the id of the assistant that answers it."""
        columns = self._mapping.numbers
        if not (digits := dialled.significant(number)):
            return None, None
        # However it is written there, with blanks, brackets or a trunk prefix: its digits come in this order.
        pattern = f"like.*{'*'.join(digits)}*"
        asked = {"select": f"{columns.number},{columns.assistant}", columns.number: pattern, "limit": str(_MOST)}
        rows = self._rows(columns.table, asked)
        answering = {str(row.get(columns.number)): row[columns.assistant] for row in rows if row.get(columns.assistant)}
        found = dialled.meant(number, answering)
        return (dialled.in_full(found, number), str(answering[found])) if found else (None, None)

    def _assistant(self, assistant_id: str) -> Resolved | None:
        columns = self._mapping.assistants
        if "\x00" in assistant_id or len(assistant_id) > 200:
            return None
        rows = self._rows(columns.table, {"select": "*", columns.id: f"eq.{assistant_id}", "limit": "1"})
        return supabase_rows.resolved(rows[0], columns) if rows else None

    def _rows(self, table: str, query: Mapping[str, str]) -> list[dict[str, Any]]:
        try:
            answer = self._client.get(f"/{table}", params=dict(query))
        except httpx.HTTPError as error:
            raise SupabaseProblem(f"no answer ({error or type(error).__name__})") from error
        if answer.status_code in (200, 206):
            with contextlib.suppress(json.JSONDecodeError):
                if isinstance(body := cast(object, answer.json()), list):
                    return [cast(dict[str, Any], row) for row in cast(list[object], body) if isinstance(row, dict)]
            raise SupabaseProblem("its answer is no list of rows: is SUPABASE_URL the project's own address?")
        code, said = _error(answer)
        if code == _NOT_AN_ID:
            return []
        raise SupabaseProblem(_explained(answer.status_code, code, said, table))


def _error(answer: httpx.Response) -> tuple[str, str]:
    """Code and message of an error, as PostgREST or the gateway in front of it words it."""
    try:
        body = cast(object, answer.json())
    except json.JSONDecodeError:
        return "", ""
    if not isinstance(body, dict):
        return "", ""
    fields = cast(dict[str, Any], body)
    return str(fields.get("code") or ""), str(fields.get("message") or fields.get("error") or "")[:200]


def _explained(status: int, code: str, said: str, table: str) -> str:
    words = f"HTTP {status}" + (f" {code}" if code else "") + (f": {said}" if said else "")
    if status in (401, 403):
        return f"{words}; check SUPABASE_SERVICE_ROLE_KEY"
    if status in (400, 404):
        return f"{words}; check SUPABASE_URL, and SUPABASE_MAPPING for the table {table!r}"
    return words
