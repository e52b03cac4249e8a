"""Who answered a call and what it came to (answer, evidence, summary, fields); what a campaign wants of machines"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision: str = "0008"
down_revision: str | None = "0007"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_OUTCOMES = (
    "completed", "voicemail", "screened", "busy", "no_answer", "rejected", "invalid_number", "unreachable",
    "congestion", "not_interested", "opted_out", "wrong_number", "callback_requested",
)  # fmt: skip
_REST = ("hung_up", "no_capacity", "failed", "cancelled")


def _allow(*outcomes: str) -> None:
    op.drop_constraint(op.f("ck_calls_outcome"), "calls", type_="check")
    words = ", ".join(f"'{outcome}'" for outcome in outcomes)
    op.create_check_constraint(op.f("ck_calls_outcome"), "calls", f"outcome IN ({words})")


def upgrade() -> None:
    _allow(*_OUTCOMES, "machine", *_REST)
    answered_by = sa.Enum(
        "person", "voicemail", "screening", "menu", "announcement", "fax", "silence",
        name="answered_by", native_enum=False, create_constraint=True, length=32,
    )  # fmt: skip
    op.add_column("calls", sa.Column("answered_by", answered_by, nullable=True))
    op.add_column("calls", sa.Column("evidence", JSONB(), nullable=True))
    op.add_column("calls", sa.Column("summary", sa.String(), nullable=True))
    op.add_column("calls", sa.Column("extracted", JSONB(), nullable=True))
    op.add_column("campaigns", sa.Column("voicemail_message", sa.String(), nullable=True))
    op.add_column("campaigns", sa.Column("menu_path", sa.String(), nullable=True))
    op.add_column("campaigns", sa.Column("extraction", JSONB(), nullable=True))


def downgrade() -> None:
    for name in ("extraction", "menu_path", "voicemail_message"):
        op.drop_column("campaigns", name)
    for name in ("extracted", "summary", "evidence", "answered_by"):
        op.drop_column("calls", name)
    op.execute("UPDATE calls SET outcome = 'failed' WHERE outcome = 'machine'")
    _allow(*_OUTCOMES, *_REST)
