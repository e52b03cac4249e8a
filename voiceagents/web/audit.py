"""Who changed what? Each change by the web application is on record, in the transaction that makes it."""

from collections.abc import Sequence
from typing import Any

from fastapi import Request
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from voiceagents.web.auth import Principal, client_address
from voiceagents.web.models import AuditEntry


async def record(
    session: AsyncSession, request: Request, by: Principal, action: str, kind: str, subject_id: object, **detail: Any
) -> None:
    """Puts a change on record.

    Args:
        session: of the transaction that makes the change.
        request: by which it came.
        by: who asked for it.
        action: what was done: "created", "changed", "started", …
        kind: to what kind of thing: "campaign", "api_key", …
        subject_id: to which one.
        detail: what else is worth knowing; no secrets, and no numbers or names of people called.
    """
    session.add(
        AuditEntry(
            actor_kind=by.kind,
            actor_id=by.id,
            actor_name=by.label,
            action=action,
            subject_kind=kind,
            subject_id=str(subject_id),
            detail=detail,
            address=client_address(request),
        )
    )


async def entries(
    session: AsyncSession,
    *,
    kind: str | None = None,
    subject_id: str | None = None,
    after: int | None = None,
    limit: int = 50,
) -> Sequence[AuditEntry]:
    """The newest entries; of one kind, or about one thing."""
    query = select(AuditEntry)
    if kind is not None:
        query = query.where(AuditEntry.subject_kind == kind)
    if subject_id is not None:
        query = query.where(AuditEntry.subject_id == subject_id)
    if after is not None:
        query = query.where(AuditEntry.id < after)
    return (await session.scalars(query.order_by(AuditEntry.id.desc()).limit(limit))).all()
