"""Who may use the web application, and what did they do? The tables of people, sessions, keys and the audit log.

Whatever proves who somebody is (a session's cookie, a key, a one-time link) is kept as a hash only: who reads the
database, or a backup of it, cannot sign in with what stands there.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import BigInteger, Enum, ForeignKey, Identity, Index, LargeBinary, func
from sqlalchemy import text as sql
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from voiceagents.db import Base


class Role(StrEnum):
    """What a person may do; each may what the one before may."""

    VIEWER = "viewer"
    """Look at everything but people, keys and the audit log."""

    EDITOR = "editor"
    """Change assistants, numbers, campaigns and contacts, and start calls."""

    OWNER = "owner"
    """Change settings, people and keys."""

    @property
    def rank(self) -> int:
        return list(Role).index(self)

    def covers(self, other: "Role") -> bool:
        """Whether this role may all that the other may."""
        return self.rank >= other.rank


class Scope(StrEnum):
    """What an API key may do."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"

    @property
    def role(self) -> Role:
        """The role whose rights this scope gives."""
        return {Scope.READ: Role.VIEWER, Scope.WRITE: Role.EDITOR, Scope.ADMIN: Role.OWNER}[self]


def _words(kind: type[StrEnum]) -> list[str]:
    return [word.value for word in kind]


def _word(kind: type[StrEnum], name: str) -> Enum:
    return Enum(kind, name=name, native_enum=False, create_constraint=True, length=32, values_callable=_words)


class User(Base):
    """A person who signs in. Without a password yet when invited and not come, and never again when disabled."""

    __tablename__ = "users"
    __table_args__ = (Index("uq_users_email_lower", sql("lower(email)"), unique=True),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    email: Mapped[str]
    name: Mapped[str] = mapped_column(server_default="")
    role: Mapped[Role] = mapped_column(_word(Role, "role"))
    password_hash: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())
    signed_in_at: Mapped[datetime | None]
    disabled_at: Mapped[datetime | None]


class OneTimeLink(Base):
    """A link that lets somebody choose a password, once: the first owner (no user yet), or a user who was invited."""

    __tablename__ = "one_time_links"

    token_hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime]


class Session(Base):
    """A browser in which somebody is signed in."""

    __tablename__ = "sessions"

    token_hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    seen_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime] = mapped_column(index=True)
    browser: Mapped[str] = mapped_column(server_default="")


class SignInAttempt(Base):
    """A sign-in that failed: too many of them, and the next has to wait."""

    __tablename__ = "sign_in_attempts"
    __table_args__ = (
        Index("ix_sign_in_attempts_address", "address", "at"),
        Index("ix_sign_in_attempts_email", "email", "at"),
        Index("ix_sign_in_attempts_at", "at"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    at: Mapped[datetime]
    address: Mapped[str]
    email: Mapped[str]


class ApiKey(Base):
    """A program's way in. `hint` is how the key begins, to tell keys apart in a list."""

    __tablename__ = "api_keys"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    key_hash: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    hint: Mapped[str]
    name: Mapped[str]
    scope: Mapped[Scope] = mapped_column(_word(Scope, "scope"))
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    last_used_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class AuditEntry(Base):
    """Who changed what, when and from where. Outlives the person and the thing."""

    __tablename__ = "audit_log"
    __table_args__ = (Index("ix_audit_log_subject", "subject_kind", "subject_id", "id"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    at: Mapped[datetime] = mapped_column(server_default=func.now())
    actor_kind: Mapped[str]
    actor_id: Mapped[str | None]
    actor_name: Mapped[str]
    action: Mapped[str]
    subject_kind: Mapped[str]
    subject_id: Mapped[str | None]
    detail: Mapped[dict[str, Any]] = mapped_column(server_default=sql("'{}'"))
    address: Mapped[str] = mapped_column(server_default="")


class IdempotencyKey(Base):
    """A request that was answered once and is not carried out again: the same key gets the same answer.

    Without a status while the first request is still being carried out.
    """

    __tablename__ = "idempotency_keys"

    actor: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    request_hash: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)
    status: Mapped[int | None]
    headers: Mapped[list[Any]] = mapped_column(JSONB, server_default=sql("'[]'"))
    body: Mapped[bytes | None] = mapped_column(LargeBinary)
