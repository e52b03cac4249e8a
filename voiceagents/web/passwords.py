"""Is this a password we take, and is it the right one? Argon2id with the library's parameters (RFC 9106, low memory).

Hashing takes some 50 ms and 64 MB on purpose. It happens in a thread, two at a time, so that a flood of sign-ins
neither stops the loop nor eats the memory.
"""

import asyncio

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

SHORTEST, LONGEST = 10, 1000
"""Characters. Length is what counts (NIST SP 800-63B); beyond the longest, hashing would be work for an attacker."""

_hasher = PasswordHasher()
_AT_ONCE = 2
# Verified against when there is no such person, so that the answer takes as long as for one.
_NOBODY = _hasher.hash("nobody has this password")


class WeakPassword(ValueError):
    """Not a password that we take. The message says what would be."""


class Passwords:
    """Hashes and verifies, on one event loop."""

    def __init__(self) -> None:
        self._turn = asyncio.Semaphore(_AT_ONCE)

    async def hash(self, password: str) -> str:
        """What is kept of a password."""
        async with self._turn:
            return await asyncio.to_thread(_hasher.hash, password.encode(errors="replace"))

    async def fits(self, password: str, kept: str | None) -> bool:
        """Whether it is the password. With nothing kept, never, after the same time."""
        async with self._turn:
            return await asyncio.to_thread(_verified, password, kept or _NOBODY) and kept is not None

    @staticmethod
    def stale(kept: str) -> bool:
        """Whether the library's parameters have grown since this was hashed."""
        return _hasher.check_needs_rehash(kept)


def require_strong(password: str, *about: str) -> None:
    """Nothing, when the password will do.

    Args:
        password: as it was typed.
        about: the person's name and address, which others know.

    Raises:
        WeakPassword: too short, too long, or easily guessed.
    """
    if len(password) < SHORTEST:
        raise WeakPassword(
            f"The password has {len(password)} characters; {SHORTEST} are the least, a sentence is fine."
        )
    if len(password) > LONGEST:
        raise WeakPassword(f"The password is longer than {LONGEST} characters.")
    plain = password.strip().lower()
    if len(set(plain)) < 5:
        raise WeakPassword("The password is made of very few different characters; take a few words instead.")
    known = {word for text in about for word in (text.lower(), text.lower().split("@")[0]) if word}
    if plain in known or plain.startswith(("password", "1234567890", "voiceagents")):
        raise WeakPassword("The password is among the first that anybody would try; take a few words instead.")


def _verified(password: str, kept: str) -> bool:
    try:
        return _hasher.verify(kept, password.encode(errors="replace"))
    except (VerificationError, InvalidHashError):
        return False
