"""What does the application have at hand for every request?"""

from fastapi import Request

from voiceagents.calls.recording_store import RecordingStore
from voiceagents.db import Database
from voiceagents.settings import Settings


def database_of(request: Request) -> Database:
    """The application's database."""
    database: Database = request.app.state.database
    return database


def settings_of(request: Request) -> Settings:
    """The environment."""
    settings: Settings = request.app.state.settings
    return settings


def recordings_of(request: Request) -> RecordingStore:
    """Where recordings are."""
    store: RecordingStore = request.app.state.recordings
    return store


def welcome_link(request: Request, token: str) -> str:
    """A one-time link as its receiver opens it."""
    base = settings_of(request).web_url or str(request.base_url)
    return f"{base.rstrip('/')}/welcome/{token}"
