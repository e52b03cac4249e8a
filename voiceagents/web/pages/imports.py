"""How far are the imports of this process, and what came of them? An import goes on while the person looks at it, or at
something else.
"""

import asyncio
import shutil
import tempfile
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import BinaryIO
from uuid import UUID, uuid4

from voiceagents import clock
from voiceagents.campaigns import contacts
from voiceagents.campaigns.import_report import ImportReport, ImportStopped
from voiceagents.campaigns.lifecycle import CampaignProblem
from voiceagents.campaigns.mapping import ColumnMapping
from voiceagents.campaigns.rows import TableError
from voiceagents.campaigns.tabular import Pasted, Reading
from voiceagents.db import Database, DatabaseUnavailable

_KEPT = 50
"""Imports whose reports are kept, with their files of refused rows."""


@dataclass
class Import:
    """One import."""

    campaign_id: UUID
    file_name: str
    id: UUID = field(default_factory=uuid4)
    started_at: datetime = field(default_factory=clock.now)
    report: ImportReport = field(default_factory=ImportReport)
    ended: bool = False
    problem: str = ""
    task: asyncio.Task[None] | None = field(default=None, repr=False)


class Imports:
    """The imports of one process."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._imports: OrderedDict[UUID, Import] = OrderedDict()

    def get(self, import_id: UUID) -> Import | None:
        """The import, if this process knows of it."""
        return self._imports.get(import_id)

    async def start(
        self,
        campaign_id: UUID,
        source: BinaryIO | Pasted,
        file_name: str,
        mapping: ColumnMapping,
        *,
        region: str | None,
        all_or_nothing: bool,
        reading: Reading,
    ) -> Import:
        """Begins an import; what was uploaded is copied first, because it goes with its request."""
        new = Import(campaign_id, file_name)
        kept: Pasted | Path = source if isinstance(source, Pasted) else await asyncio.to_thread(_copied, source)
        self._imports[new.id] = new
        self._forget_old()
        new.task = asyncio.create_task(self._run(new, kept, mapping, region, all_or_nothing, reading), name="import")
        return new

    async def _run(
        self,
        new: Import,
        source: Pasted | Path,
        mapping: ColumnMapping,
        region: str | None,
        all_or_nothing: bool,
        reading: Reading,
    ) -> None:
        def so_far(report: ImportReport) -> None:
            new.report = report

        try:
            new.report = await contacts.import_contacts(
                self._database, new.campaign_id, source, mapping,
                default_region=region, all_or_nothing=all_or_nothing, progress=so_far, reading=reading,
            )  # fmt: skip
        except ImportStopped as error:
            new.report, new.problem = error.report, str(error)
        except (TableError, CampaignProblem, DatabaseUnavailable) as error:
            new.problem = str(error)
        finally:
            new.ended = True
            if isinstance(source, Path):
                await asyncio.to_thread(source.unlink, missing_ok=True)

    def _forget_old(self) -> None:
        while len(self._imports) > _KEPT:
            oldest = next(iter(self._imports.values()))
            if not oldest.ended:
                return
            if oldest.report.error_file is not None:
                oldest.report.error_file.unlink(missing_ok=True)
            del self._imports[oldest.id]


def _copied(source: BinaryIO) -> Path:
    source.seek(0)
    with tempfile.NamedTemporaryFile(prefix="voiceagents-import-", delete=False) as copy:
        shutil.copyfileobj(source, copy, 1 << 20)
        return Path(copy.name)
