"""Who is signed in? Signing in, slowly for whoever guesses, and the sessions that follow from it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv6Address, ip_address, ip_network

from sqlalchemy import delete, func, or_, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from voiceagents import clock
from voiceagents.db import Database
from voiceagents.text import storable
from voiceagents.web.models import AuditEntry, Session, SignInAttempt, User
from voiceagents.web.passwords import Passwords
from voiceagents.web.tokens import hash_of, new_token

LASTS = timedelta(days=30)
"""After this a session ends, however busy."""

IDLE = timedelta(days=7)
"""A session that nobody used for so long has ended."""

WINDOW = timedelta(minutes=15)
FAILURES_OF_ONE, FAILURES_FROM_ADDRESS, FAILURES_FOR_ACCOUNT = 5, 30, 100
"""Failed sign-ins in the window before the next must wait: for one account from one address, from one address, and for
one account from anywhere (high, so that nobody can shut another person out cheaply)."""

_NOTICE = timedelta(minutes=1)
"""How exactly it is known when a session was last used: a write each request would be a waste."""


class SignInRefused(Exception):
    """Nobody is signed in. The message is for the person; `wait` says after how many seconds it is worth trying."""

    def __init__(self, words: str, wait: int | None = None) -> None:
        super().__init__(words)
        self.wait = wait


@dataclass(frozen=True)
class SignedIn:
    """A new session: its token, for the cookie, and whose it is."""

    token: str
    user: User


async def sign_in(
    database: Database, passwords: Passwords, email: str, password: str, *, address: str, browser: str = ""
) -> SignedIn:
    """A session for whoever knows the password.

    Args:
        database: where accounts are.
        passwords: the hasher.
        email: as typed.
        password: as typed.
        address: of the client, to count its failures.
        browser: its User-Agent, for the list of one's sessions.

    Raises:
        SignInRefused: wrong, or too many failures; it never says whether the account exists.
    """
    account, place = storable(email.strip().lower())[:254], network_of(address)
    await _count(database, account, place)
    async with database.transaction() as session:
        user = await session.scalar(select(User).where(func.lower(User.email) == account))
    kept = user.password_hash if user is not None and user.disabled_at is None else None
    if not await passwords.fits(password[:1000], kept) or user is None or kept is None:
        raise SignInRefused("Address and password do not fit together.")
    rehashed = await passwords.hash(password) if passwords.stale(kept) else None
    async with database.transaction() as session:
        await session.execute(
            delete(SignInAttempt).where(SignInAttempt.email == account, SignInAttempt.address == place)
        )
        found = await session.get_one(User, user.id, with_for_update={"key_share": True})
        if found.disabled_at is not None or found.password_hash != kept:
            raise SignInRefused("Address and password do not fit together.")
        found.signed_in_at = clock.now()
        session.add(own_act(found, "signed in", address))
        if rehashed is not None:
            found.password_hash = rehashed
        return SignedIn(await start(session, found, browser), found)


def own_act(user: User, action: str, address: str = "") -> AuditEntry:
    """What somebody did to their own account, for the audit log."""
    return AuditEntry(
        actor_kind="user",
        actor_id=str(user.id),
        actor_name=user.email,
        action=action,
        subject_kind="user",
        subject_id=str(user.id),
        address=address,
    )


async def start(session: AsyncSession, user: User, browser: str = "") -> str:
    """A session for a user whose identity is proved. Returns its token."""
    now = clock.now()
    await session.execute(
        delete(Session).where(or_(Session.expires_at <= now, Session.seen_at <= now - IDLE), Session.user_id == user.id)
    )
    token = new_token()
    session.add(
        Session(
            token_hash=hash_of(token),
            user_id=user.id,
            seen_at=now,
            created_at=now,
            expires_at=now + LASTS,
            browser=storable(browser)[:300],
        )
    )
    return token


async def user_of(database: Database, token: str) -> User | None:
    """Whose session this is; None when it has ended."""
    now = clock.now()
    async with database.transaction() as session:
        row = (
            await session.execute(
                select(Session, User).join(User, Session.user_id == User.id).where(Session.token_hash == hash_of(token))
            )
        ).one_or_none()
        if row is None:
            return None
        found, user = row
        if _over(found, now) or user.disabled_at is not None:
            return None
        if now - found.seen_at > _NOTICE:
            found.seen_at = now
        return user


async def sign_out(database: Database, token: str) -> None:
    """Ends the session."""
    async with database.transaction() as session:
        await session.execute(delete(Session).where(Session.token_hash == hash_of(token)))


def network_of(address: str) -> str:
    """What counts as one address: an IPv6 network of 64 bits is one customer.

    >>> network_of("2001:db8::1"), network_of("192.0.2.7")
    ('2001:db8::/64', '192.0.2.7')
    """
    try:
        parsed = ip_address(address)
    except ValueError:
        return storable(address)[:64]
    if isinstance(parsed, IPv6Address):
        return str(parsed.ipv4_mapped or ip_network((int(parsed), 64), strict=False))
    return str(parsed)


def _over(session: Session, now: datetime) -> bool:
    return session.expires_at <= now or session.seen_at <= now - IDLE


async def _count(database: Database, account: str, place: str) -> None:
    """Writes the attempt down as failed, before it is known; success takes it back. So that a hundred guesses at once
    count as a hundred.

    Raises:
        SignInRefused: there were too many.
    """
    now = clock.now()
    since = now - WINDOW
    async with database.transaction() as session:
        await session.execute(text("SELECT pg_advisory_xact_lock(hashtext(:place))"), {"place": f"sign-in {place}"})
        await session.execute(delete(SignInAttempt).where(SignInAttempt.at <= since))
        of_address, of_account = SignInAttempt.address == place, SignInAttempt.email == account
        for which, most in (
            (of_address & of_account, FAILURES_OF_ONE),
            (of_address, FAILURES_FROM_ADDRESS),
            (of_account, FAILURES_FOR_ACCOUNT),
        ):
            newest = select(SignInAttempt.at).where(which, SignInAttempt.at > since).order_by(SignInAttempt.at.desc())
            # The one that must have left the window before there is room for another.
            oldest = await session.scalar(newest.offset(most - 1).limit(1))
            if oldest is not None:
                wait = max(1, round((oldest + WINDOW - now).total_seconds()))
                raise SignInRefused(f"Too many failed sign-ins; try again in {-(-wait // 60)} min.", wait)
        session.add(SignInAttempt(at=now, address=place, email=account))
