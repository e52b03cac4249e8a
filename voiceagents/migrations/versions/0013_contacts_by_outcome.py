"""Contacts are listed by how their last call ended, however long the list is"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0013"
down_revision: str | None = "0012"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_index(
        "ix_contacts_outcome",
        "contacts",
        ["campaign_id", "last_outcome", "position"],
        postgresql_where=sa.text("last_outcome IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_contacts_outcome", "contacts")
