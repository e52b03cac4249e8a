"""What does a person see when something goes wrong?

One message on standard error that says what is wrong and how to mend it, and exit status 2. A traceback is kept for
faults of ours.
"""

import sys
from typing import Any

import typer
from typer.core import TyperGroup

from voiceagents.phone import InvalidPhoneNumber
from voiceagents.settings import SettingsError

USAGE = 2
"""Exit status: the command could not do what was asked, and something outside it must be mended."""

INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it."""


class Problem(Exception):
    """Something that the person at the keyboard can mend; the message says how."""


class Commands(TyperGroup):
    """A group of commands whose known errors become one message."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None
        except BrokenPipeError:
            # Whoever read our output (`| head`) has seen enough; Python's own flush at exit must not complain.
            sys.stderr.close()
            raise typer.Exit(1) from None
        except Exception as error:
            if (message := explained(error)) is None:
                raise
            typer.echo(f"voiceagents: {message}", err=True)
            raise typer.Exit(USAGE) from None


def explained(error: Exception) -> str | None:
    """What to tell the person, or None when the error is a fault of ours."""
    if isinstance(error, (Problem, SettingsError, InvalidPhoneNumber)):
        return str(error)
    # Imported here: without one of these errors there is no reason to load what raises them.
    from sqlalchemy.exc import DBAPIError

    from voiceagents.assistants.store import AssistantProblem
    from voiceagents.calendars.base import CalendarDown, CalendarProblem
    from voiceagents.calls.bucket import BucketProblem
    from voiceagents.calls.metadata import MetadataError
    from voiceagents.calls.placing import CannotPlace
    from voiceagents.campaigns.lifecycle import CampaignProblem
    from voiceagents.campaigns.numbers import UnknownRegion
    from voiceagents.campaigns.rows import TableError
    from voiceagents.carrier import CarrierError
    from voiceagents.db import DatabaseProblem
    from voiceagents.lab import LabError
    from voiceagents.voices import VoiceError

    known = (
        AssistantProblem,
        BucketProblem,
        CalendarDown,
        CalendarProblem,
        CampaignProblem,
        CannotPlace,
        CarrierError,
        DatabaseProblem,
        LabError,
        MetadataError,
        TableError,
        UnknownRegion,
        VoiceError,
    )
    if isinstance(error, known):
        return str(error)
    if isinstance(error, DBAPIError):
        reason = str(error.orig).strip().splitlines() or [type(error).__name__]
        return f"The database did not do its part: {reason[0]}. `voiceagents doctor` looks at it."
    return livekit_trouble(error)


def livekit_trouble(error: Exception, url: str = "") -> str | None:
    """What to tell about an error of LiveKit's API, or None when it is none."""
    import aiohttp
    from livekit import api

    place = f"LiveKit at {url}" if url else "LiveKit"
    if isinstance(error, api.ServerError):
        if error.status == 401 or error.code in ("unauthenticated", "permission_denied"):
            return f"{place} refuses the key ({error.message}): check LIVEKIT_API_KEY and LIVEKIT_API_SECRET."
        return f"{place} refused: {error.message} ({error.code})."
    if isinstance(error, (aiohttp.ClientError, TimeoutError, ConnectionError)):
        reason = str(error) or "no answer in time"
        return f"{place} cannot be reached ({reason}): is it running, and is LIVEKIT_URL right?"
    return None
