"""Which database does this installation use, and is it ready?

The configured one, or else the embedded one in the data folder.
"""

import asyncio

from voiceagents.postgres import EmbeddedPostgres
from voiceagents.schema import ensure_database
from voiceagents.settings import Settings


def embedded(settings: Settings) -> EmbeddedPostgres:
    """The embedded server's place in the data folder, whether it is used or not."""
    return EmbeddedPostgres(settings.voiceagents_data / "postgres")


def database_url(settings: Settings) -> str:
    """The database's address; starts the embedded server if it is the one and does not run.

    Raises:
        DatabaseProblem: with the mend.
    """
    if settings.database_url is not None:
        return settings.database_url.get_secret_value()
    return embedded(settings).start()


async def ready(settings: Settings) -> str:
    """The address of a database whose tables fit the code.

    Raises:
        DatabaseProblem: with the mend.
    """
    url = await asyncio.to_thread(database_url, settings)
    await ensure_database(url)
    return url
