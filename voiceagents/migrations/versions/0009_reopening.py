"""What an edit of a campaign left to be looked for among its contacts"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0009"
down_revision: str | None = "0008"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("campaigns", sa.Column("reopening", postgresql.JSONB(), nullable=True))
    op.create_index("ix_campaigns_reopening", "campaigns", ["id"], postgresql_where=sa.text("reopening IS NOT NULL"))


def downgrade() -> None:
    op.drop_index("ix_campaigns_reopening", "campaigns")
    op.drop_column("campaigns", "reopening")
