"""How does an import begin in the browser? The upload is kept until it is read; the import then goes on by itself."""

import asyncio
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO
from uuid import UUID

from fastapi import Request

from voiceagents.campaigns import imports
from voiceagents.campaigns.models import ContactImport
from voiceagents.campaigns.tabular import Pasted, Reading, Source
from voiceagents.settings import Settings
from voiceagents.web import audit
from voiceagents.web.auth import Principal
from voiceagents.web.background import Background
from voiceagents.web.state import database_of, settings_of


def refused_file(settings: Settings, import_id: UUID) -> Path:
    """Where the refused rows of an import are kept."""
    return _folder(settings) / f"{import_id}.refused.csv"


async def started(
    request: Request,
    user: Principal,
    campaign_id: UUID,
    source: BinaryIO | Pasted,
    name: str,
    *,
    roles: Mapping[str, str],
    region: str | None,
    all_or_nothing: bool,
    reading: Reading,
) -> ContactImport:
    """An import that runs from now on.

    Args:
        request: by which it came; what was uploaded goes with it, and is copied.
        user: who asked for it.
        campaign_id: where the contacts go.
        source: what was uploaded or pasted.
        name: of the file.
        roles: what each column is, by header; empty for the guess.
        region: country of numbers without a country code.
        all_or_nothing: add nothing if a row is refused.
        reading: what is known about the file.
    """
    database = database_of(request)
    settings = settings_of(request)
    background: Background = request.app.state.background
    async with database.transaction() as session:
        row = await imports.open_import(session, campaign_id, name)
        await audit.record(session, request, user, "imported", "campaign", campaign_id, file=name)
    kept = await asyncio.to_thread(_kept, _folder(settings), row.id, source)

    async def work() -> None:
        try:
            await imports.run(
                database,
                row.id,
                campaign_id,
                kept,
                roles=roles,
                default_region=region,
                all_or_nothing=all_or_nothing,
                reading=reading,
                error_file=refused_file(settings, row.id),
            )
        finally:
            if isinstance(kept, Path):
                kept.unlink(missing_ok=True)

    background.start(work(), f"import {row.id}")
    return row


def _folder(settings: Settings) -> Path:
    return settings.voiceagents_data / "imports"


def _kept(folder: Path, import_id: UUID, source: BinaryIO | Pasted) -> Source:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if isinstance(source, Pasted):
        return source
    path = folder / f"{import_id}.upload"
    source.seek(0)
    with path.open("wb") as file:
        shutil.copyfileobj(source, file, 1 << 20)
    return path
