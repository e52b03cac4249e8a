"""What does a secret look like that we hand out, and how is it kept?

256 random bits, which nobody guesses, so that a plain SHA-256 is enough to keep: it is a password, which people
choose, that needs a slow hash.
"""

import hashlib
import hmac
import secrets

KEY_PREFIX = "va_"
"""How an API key begins, so that people and secret scanners know one when they see it."""


def new_token() -> str:
    """A fresh secret of 256 bits, fit for a URL."""
    return secrets.token_urlsafe(32)


def new_key() -> str:
    """A fresh API key."""
    return KEY_PREFIX + new_token()


def hash_of(token: str) -> bytes:
    """What is kept of it."""
    return hashlib.sha256(token.encode(errors="replace")).digest()


def derived(token: str, purpose: str) -> str:
    """A second secret that follows from the first and says nothing about it (HMAC, RFC 2104)."""
    return hmac.new(token.encode(errors="replace"), purpose.encode(), hashlib.sha256).hexdigest()


def same(one: str, other: str) -> bool:
    """Equality in constant time."""
    return hmac.compare_digest(one.encode(errors="replace"), other.encode(errors="replace"))
