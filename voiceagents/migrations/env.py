"""Which tables do migrations describe, and on which connection do they run?

On the connection that `voiceagents.schema` hands over. A developer's `alembic` command has none: it opens one to the
database in DATABASE_URL.
"""

import os

from alembic import context
from sqlalchemy import Connection, NullPool, create_engine

from voiceagents.assistants import models as assistants
from voiceagents.calendars import models as calendars
from voiceagents.calls import models as calls
from voiceagents.campaigns import models as campaigns
from voiceagents.db import Base, psycopg_url
from voiceagents.schema import is_ours
from voiceagents.web import models as web
from voiceagents.webhooks import models as webhooks

# A table is known once its module is imported: a module missing here would be a table to drop.
MODELS = (assistants, calendars, calls, campaigns, web, webhooks)


def _run(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        compare_server_default=True,
        include_name=is_ours,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()


def _connect_and_run() -> None:
    url = os.environ.get("DATABASE_URL")
    if not url:
        raise SystemExit("Set DATABASE_URL to the database that alembic shall work on.")
    with create_engine(psycopg_url(url), poolclass=NullPool).connect() as connection:
        _run(connection)


given: Connection | None = context.config.attributes.get("connection")
if given is None:
    _connect_and_run()
else:
    _run(given)
