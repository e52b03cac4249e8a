"""Who has an account, and how does somebody get one? By a one-time link: the first owner's is printed in the terminal,
everybody else's is given by an owner.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import delete, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from voiceagents import clock
from voiceagents.db import Database
from voiceagents.web.models import ApiKey, OneTimeLink, Role, Session, User
from voiceagents.web.passwords import Passwords, WeakPassword, require_strong
from voiceagents.web.sessions import own_act
from voiceagents.web.tokens import hash_of, new_token

LINK_LASTS = timedelta(hours=48)
"""How long a one-time link can be used."""

_EMAIL = re.compile(r"[^@\s\x00-\x1f\"<>,;]+@[^@\s\x00-\x1f\"<>,;]+")
_LONGEST = 254


class AccountProblem(Exception):
    """What was asked cannot be done with this account.

    Args:
        words: what is wrong and how to mend it.
        field: the field of the form or request that is to blame, if one is.
        missing: there is no such account or link.
    """

    def __init__(self, words: str, *, field: str | None = None, missing: bool = False) -> None:
        super().__init__(words)
        self.field = field
        self.missing = missing


@dataclass(frozen=True)
class Welcome:
    """What a one-time link is good for: the first owner's account (no address yet), or that of an invited user."""

    first_owner: bool
    email: str = ""
    name: str = ""


async def first_owner_link(database: Database) -> str | None:
    """The token of a link that makes the first owner; None when somebody has an account already.

    The links of other web processes stay good until one of them is used.
    """
    async with database.transaction() as session:
        if await session.scalar(select(User.id).limit(1)) is not None:
            return None
        return await _link(session, None)


async def welcome(database: Database, token: str) -> Welcome:
    """What this link is good for.

    Raises:
        AccountProblem: used, expired, or never there.
    """
    async with database.transaction() as session:
        user = await _user_of_link(session, token)
        return Welcome(first_owner=True) if user is None else Welcome(False, user.email, user.name)


async def accept(database: Database, passwords: Passwords, token: str, *, email: str, name: str, password: str) -> User:
    """Uses the link up: makes the first owner, or gives an invited user the password that they chose.

    An invited user's address is the one they were invited by; what `email` says counts for the first owner only.

    Raises:
        AccountProblem: the link is no longer good, or a field will not do.
    """
    async with database.transaction() as session:
        user = await _user_of_link(session, token)
        address = checked_email(email) if user is None else user.email
    try:
        require_strong(password, address, name)
    except WeakPassword as error:
        raise AccountProblem(str(error), field="password") from None
    kept = await passwords.hash(password)
    async with database.transaction() as session:
        # One at a time, so that a link that is followed twice at once makes one account.
        await session.execute(text("SELECT pg_advisory_xact_lock(hashtext('voiceagents accounts'))"))
        user = await _user_of_link(session, token)
        if user is None:
            if await session.scalar(select(User.id).limit(1)) is not None:
                raise AccountProblem("There is an owner already: sign in, or ask for an invitation.", missing=True)
            user = User(email=address, name=checked_name(name), role=Role.OWNER, password_hash=kept)
            session.add(user)
            await session.flush()
            await session.execute(delete(OneTimeLink).where(OneTimeLink.user_id.is_(None)))
            session.add(own_act(user, "became the owner"))
        else:
            user.password_hash = kept
            user.name = checked_name(name) or user.name
            await _shut_out(session, user.id)
            session.add(own_act(user, "chose a password"))
        await session.flush()
        await session.refresh(user)
        return user


async def invite(session: AsyncSession, *, email: str, name: str, role: Role) -> tuple[User, str]:
    """A new user without a password, and the token of the link by which they choose one.

    Raises:
        AccountProblem: no such address can be, or it has an account.
    """
    address = checked_email(email)
    if await session.scalar(select(User.id).where(func.lower(User.email) == address.lower())) is not None:
        raise AccountProblem(f"{address} has an account already.", field="email")
    user = User(email=address, name=checked_name(name), role=role)
    session.add(user)
    await session.flush()
    await session.refresh(user)
    return user, await _link(session, user.id)


async def new_link(session: AsyncSession, user_id: UUID) -> str:
    """The token of a new link by which a user chooses a new password; older ones are no good any more.

    Raises:
        AccountProblem: no such user, or a disabled one.
    """
    user = await find(session, user_id)
    if user.disabled_at is not None:
        raise AccountProblem(f"{user.email} is disabled; enable the account first.")
    await session.execute(delete(OneTimeLink).where(OneTimeLink.user_id == user_id))
    return await _link(session, user_id)


async def users(session: AsyncSession) -> Sequence[User]:
    """Everybody with an account, by address."""
    return (await session.scalars(select(User).order_by(func.lower(User.email)).limit(1000))).all()


async def find(session: AsyncSession, user_id: UUID) -> User:
    """The user.

    Raises:
        AccountProblem: there is none.
    """
    user = await session.get(User, user_id, with_for_update={"key_share": True})
    if user is None:
        raise AccountProblem("There is no such user.", missing=True)
    return user


async def link_for(database: Database, email: str) -> str:
    """The token of a new link for the user with this address: who has lost their password chooses a new one.

    Raises:
        AccountProblem: nobody has it, or they are disabled.
    """
    async with database.transaction() as session:
        user_id = await session.scalar(select(User.id).where(func.lower(User.email) == email.strip().lower()))
        if user_id is None:
            raise AccountProblem(f"Nobody has an account with the address {email.strip()}.", missing=True)
        return await new_link(session, user_id)


async def change(
    session: AsyncSession,
    user_id: UUID,
    *,
    name: str | None = None,
    role: Role | None = None,
    disabled: bool | None = None,
) -> User:
    """Changes a user; who is disabled is signed out everywhere, and their keys are revoked.

    Raises:
        AccountProblem: no such user, or nobody would be left who may let people in.
    """
    await session.execute(text("SELECT pg_advisory_xact_lock(hashtext('voiceagents accounts'))"))
    user = await find(session, user_id)
    if name is not None:
        user.name = checked_name(name)
    if role is not None:
        user.role = role
    if disabled is not None and disabled != (user.disabled_at is not None):
        user.disabled_at = clock.now() if disabled else None
        if disabled:
            await _shut_out(session, user.id)
            await session.execute(
                update(ApiKey)
                .where(ApiKey.user_id == user.id, ApiKey.revoked_at.is_(None))
                .values(revoked_at=clock.now())
            )
    await session.flush()
    owner = select(User.id).where(User.role == Role.OWNER, User.disabled_at.is_(None), User.password_hash.is_not(None))
    if await session.scalar(owner.limit(1)) is None:
        raise AccountProblem("This is the last owner; make somebody else an owner first.", field="role")
    await session.refresh(user)
    return user


async def choose_password(database: Database, passwords: Passwords, user_id: UUID, *, old: str, new: str) -> None:
    """Lets a signed-in user change their password; their other browsers are signed out, this one with them.

    Raises:
        AccountProblem: the old one is wrong, or the new one will not do.
    """
    async with database.transaction() as session:
        user = await find(session, user_id)
    if not await passwords.fits(old, user.password_hash):
        raise AccountProblem("The present password is not right.", field="old")
    try:
        require_strong(new, user.email, user.name)
    except WeakPassword as error:
        raise AccountProblem(str(error), field="new") from None
    kept = await passwords.hash(new)
    async with database.transaction() as session:
        user = await find(session, user_id)
        user.password_hash = kept
        await _shut_out(session, user_id)


def checked_email(email: str) -> str:
    """The address without blanks around it.

    Raises:
        AccountProblem: it is none.
    """
    address = email.strip()
    if len(address) > _LONGEST or _EMAIL.fullmatch(address) is None:
        raise AccountProblem("That is no email address; one looks like ana@example.com.", field="email")
    return address


def checked_name(name: str) -> str:
    """The name without line ends and blanks around it, cut where no name is as long."""
    return " ".join(name.replace("\x00", "").split())[:100]


async def _link(session: AsyncSession, user_id: UUID | None) -> str:
    now = clock.now()
    await session.execute(delete(OneTimeLink).where(OneTimeLink.expires_at <= now))
    token = new_token()
    session.add(OneTimeLink(token_hash=hash_of(token), user_id=user_id, expires_at=now + LINK_LASTS))
    return token


async def _user_of_link(session: AsyncSession, token: str) -> User | None:
    """The user whom the link invites; None for the first owner's.

    Raises:
        AccountProblem: the link is no good.
    """
    link = await session.get(OneTimeLink, hash_of(token))
    if link is None or link.expires_at <= clock.now():
        raise AccountProblem(
            "This link was used already or has expired: ask for a new one, or start `voiceagents web` again.",
            missing=True,
        )
    if link.user_id is None:
        return None
    user = await find(session, link.user_id)
    if user.disabled_at is not None:
        raise AccountProblem("This account is disabled.", missing=True)
    return user


async def _shut_out(session: AsyncSession, user_id: UUID) -> None:
    """Ends whatever lets in without the present password: sessions and one-time links."""
    await session.execute(delete(Session).where(Session.user_id == user_id))
    await session.execute(delete(OneTimeLink).where(OneTimeLink.user_id == user_id))
