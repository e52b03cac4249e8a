"""How does a receiver know that a message is ours and is new? By its signature, as Standard Webhooks has it.

    webhook-id: the event's id, the same for every attempt, so that a receiver takes each event once
    webhook-timestamp: seconds since 1970, so that an old message cannot be sent again by somebody else
    webhook-signature: "v1," and the base64 of HMAC-SHA256 over "{id}.{timestamp}.{body}"

(https://github.com/standard-webhooks/standard-webhooks, specification 1.0; every language has a library for it.)
"""

import base64
import hashlib
import hmac
import secrets

SECRET_PREFIX = "whsec_"  # noqa: S105  what every secret begins with


def new_secret() -> str:
    """A fresh secret of 256 bits."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def signature(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """What stands in `webhook-signature`."""
    key = base64.b64decode(secret.removeprefix(SECRET_PREFIX))
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def headers(secret: str, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The three headers of a message."""
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signature(secret, message_id, timestamp, body),
    }
