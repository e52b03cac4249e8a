"""Does LiveKit say that a room is gone? It has two ways."""

from livekit import api

_NO_SERVER_HOLDS_IT = "could not find object"
"""What livekit-server answers (with status 500) for a room whose own server died: its record stays, nobody is in it."""


def is_gone(error: api.ServerError) -> bool:
    """True when nobody can be in the room that this error is about."""
    return error.code == api.ServerErrorCode.NOT_FOUND or _NO_SERVER_HOLDS_IT in error.message
