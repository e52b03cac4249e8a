"""Which programs may use the API? Keys are shown once, when they are made, and kept as a hash."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from voiceagents import clock
from voiceagents.db import Database
from voiceagents.web.models import ApiKey, Scope, User
from voiceagents.web.tokens import KEY_PREFIX, hash_of, new_key

_HINT = len(KEY_PREFIX) + 6
_NOTICE = timedelta(minutes=1)


class KeyProblem(Exception):
    """There is no such key."""


async def make(
    session: AsyncSession, user_id: UUID, *, name: str, scope: Scope, expires_at: datetime | None
) -> tuple[ApiKey, str]:
    """A new key, and its text, which nobody can ever see again."""
    key = new_key()
    row = ApiKey(
        key_hash=hash_of(key), hint=key[:_HINT], name=name, scope=scope, user_id=user_id, expires_at=expires_at
    )
    session.add(row)
    await session.flush()
    await session.refresh(row)
    return row, key


async def of_everybody(session: AsyncSession) -> Sequence[ApiKey]:
    """All keys, revoked ones too, the newest first."""
    return (await session.scalars(select(ApiKey).order_by(ApiKey.created_at.desc(), ApiKey.id).limit(1000))).all()


async def revoke(session: AsyncSession, key_id: UUID) -> ApiKey:
    """Lets a key in no more, from now on.

    Raises:
        KeyProblem: there is none.
    """
    row = await session.get(ApiKey, key_id, with_for_update=True)
    if row is None:
        raise KeyProblem("There is no such API key.")
    row.revoked_at = row.revoked_at or clock.now()
    return row


async def user_of(database: Database, key: str) -> tuple[ApiKey, User] | None:
    """The key and its person; None when the key is no good."""
    if not key.startswith(KEY_PREFIX):
        return None
    now = clock.now()
    async with database.transaction() as session:
        row = (
            await session.execute(
                select(ApiKey, User).join(User, ApiKey.user_id == User.id).where(ApiKey.key_hash == hash_of(key))
            )
        ).one_or_none()
        if row is None:
            return None
        found, user = row
        expired = found.expires_at is not None and found.expires_at <= now
        if found.revoked_at is not None or expired or user.disabled_at is not None:
            return None
        if found.last_used_at is None or now - found.last_used_at > _NOTICE:
            found.last_used_at = now
        return found, user
