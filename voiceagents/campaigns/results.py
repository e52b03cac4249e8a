"""What came of every contact of a campaign, as a file for a spreadsheet?

The contact as it was imported, its own columns, how it stands, its last call and the last decision about it. Streamed,
and safe to open: a cell that a spreadsheet would run as a formula is neutralised.
"""

import csv
import io
from collections.abc import AsyncGenerator, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from voiceagents.formulas import neutralized

_ROWS_AT_ONCE = 1_000
_CONTACT = ("phone", "name", "email", "time_zone")
_RESULT = (
    "contact_id", "state", "attempts", "outcome", "next_at", "call_id", "dialled_at", "answered_at", "talk_seconds",
    "sip_status", "cause", "decision", "rule", "decided_at",
)  # fmt: skip


async def rows(session: AsyncSession, campaign_id: UUID) -> AsyncGenerator[list[str]]:
    """The header, then a row for each contact in the order of the list; all as text, as it stands in the file."""
    own = (await session.scalars(_OWN_COLUMNS, {"campaign": campaign_id})).all()
    yield _safe([*_CONTACT, *own, *(f"result: {name}" for name in _RESULT)])
    stream = await session.stream(_ROWS.execution_options(yield_per=_ROWS_AT_ONCE), {"campaign": campaign_id})
    async for row in stream.mappings():
        variables: dict[str, Any] = row["variables"]
        yield _safe(
            [
                *(row[name] for name in _CONTACT),
                *(variables.get(name) for name in own),
                *(row[name] for name in _RESULT),
            ]
        )


async def as_csv(session: AsyncSession, campaign_id: UUID) -> AsyncGenerator[str]:
    """The same as pieces of a CSV file."""
    piece = io.StringIO(newline="")
    writer = csv.writer(piece)
    async for row in rows(session, campaign_id):
        writer.writerow(row)
        if piece.tell() > 1 << 16:
            yield piece.getvalue()
            piece.seek(0)
            piece.truncate()
    yield piece.getvalue()


def _safe(cells: Sequence[object]) -> list[str]:
    return [neutralized("" if cell is None else str(cell)) for cell in cells]


_OWN_COLUMNS = text(
    "SELECT DISTINCT jsonb_object_keys(variables) AS name FROM contacts WHERE campaign_id = :campaign ORDER BY name"
)
_ROWS = text(
    """
    SELECT c.phone, c.name, c.email, c.time_zone, c.variables, c.id AS contact_id, c.state, c.attempts,
        c.last_outcome AS outcome,
        CASE WHEN c.state = 'waiting' THEN to_char(c.next_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') END
            AS next_at,
        calls.id AS call_id,
        to_char(calls.dialing_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS dialled_at,
        to_char(calls.answered_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS answered_at,
        CASE WHEN calls.answered_at IS NULL THEN 0
            ELSE round(extract(epoch FROM calls.ended_at - calls.answered_at), 1) END AS talk_seconds,
        calls.sip_status, calls.cause, last.words AS decision, last.rule,
        to_char(last.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS decided_at
    FROM contacts c
    LEFT JOIN calls ON calls.id = c.call_id
    LEFT JOIN LATERAL (
        SELECT words, rule, at FROM decisions WHERE contact_id = c.id ORDER BY at DESC, id DESC LIMIT 1) AS last ON true
    WHERE c.campaign_id = :campaign
    ORDER BY c.position
    """
)
