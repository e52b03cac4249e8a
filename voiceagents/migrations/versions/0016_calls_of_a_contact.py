"""All calls of one contact: what follows an ending depends on them, and nobody wants to read a million for it"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0016"
down_revision: str | None = "0015"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_index("ix_calls_contact", "calls", ["contact_id"], postgresql_where=sa.text("contact_id IS NOT NULL"))


def downgrade() -> None:
    op.drop_index("ix_calls_contact", "calls")
