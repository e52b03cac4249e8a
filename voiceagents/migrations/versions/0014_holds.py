"""What holds a campaign is found at once among all that was decided about its contacts"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0014"
down_revision: str | None = "0013"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_index(
        "ix_decisions_hold", "decisions", ["campaign_id", "id"], postgresql_where=sa.text("contact_id IS NULL")
    )


def downgrade() -> None:
    op.drop_index("ix_decisions_hold", "decisions")
