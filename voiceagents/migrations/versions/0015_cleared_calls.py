"""Of which calls has been deleted what was said? Those that are old and still have it are found by an index"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0015"
down_revision: str | None = "0014"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("calls", sa.Column("cleared_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        "ix_calls_kept",
        "calls",
        ["ended_at"],
        postgresql_where=sa.text("state = 'ended' AND cleared_at IS NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_calls_kept", "calls")
    op.drop_column("calls", "cleared_at")
