"""What a campaign waits for and what it was granted, so that several share a trunk fairly; the last turn, not the
next"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_SCARCE = ("installation", "trunk", "turn")


def upgrade() -> None:
    op.add_column(
        "campaigns",
        sa.Column(
            "waits_for",
            sa.Enum(*_SCARCE, name="waits_for", native_enum=False, create_constraint=False, length=32),
            nullable=True,
        ),
    )
    words = ", ".join(f"'{word}'" for word in _SCARCE)
    op.create_check_constraint(op.f("ck_campaigns_waits_for"), "campaigns", f"waits_for IN ({words})")
    op.add_column("campaigns", sa.Column("served", sa.Double[float](), server_default="0", nullable=False))
    for table in ("campaigns", "trunk_limits"):
        op.alter_column(table, "next_dial_at", new_column_name="last_turn_at")


def downgrade() -> None:
    for table in ("campaigns", "trunk_limits"):
        op.alter_column(table, "last_turn_at", new_column_name="next_dial_at")
    op.drop_column("campaigns", "served")
    op.drop_column("campaigns", "waits_for")
