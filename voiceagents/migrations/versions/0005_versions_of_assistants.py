"""All that an assistant may be told, every version of it, and the version that a call ran with"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision: str = "0005"
down_revision: str | None = "0004"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_NEW = (
    "stt_model", "turn", "max_call_duration", "silence_ask_after", "silence_hang_up_after", "background_sound",
    "record", "consent_line", "end_call_message", "tools", "calendar_id", "transfer_targets", "business_hours",
    "time_zone", "after_hours", "version",
)  # fmt: skip


def upgrade() -> None:
    for column in (
        sa.Column("stt_model", sa.String(), nullable=True),
        sa.Column("turn", JSONB(), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("max_call_duration", sa.Integer(), nullable=True),
        sa.Column("silence_ask_after", sa.Double[float](), nullable=True),
        sa.Column("silence_hang_up_after", sa.Double[float](), nullable=True),
        sa.Column("background_sound", sa.String(), nullable=True),
        sa.Column("record", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("consent_line", sa.String(), server_default="", nullable=False),
        sa.Column("end_call_message", sa.String(), server_default="", nullable=False),
        sa.Column("tools", JSONB(), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("calendar_id", sa.String(), nullable=True),
        sa.Column("transfer_targets", JSONB(), server_default=sa.text("'[]'"), nullable=False),
        sa.Column("business_hours", JSONB(none_as_null=True), nullable=True),
        sa.Column("time_zone", sa.String(), nullable=True),
        sa.Column("after_hours", JSONB(none_as_null=True), nullable=True),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
    ):
        op.add_column("assistants", column)
    op.create_table(
        "assistant_versions",
        sa.Column("assistant_id", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("snapshot", JSONB(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.PrimaryKeyConstraint("assistant_id", "version", name=op.f("pk_assistant_versions")),
    )
    # What is there now is each assistant's first version.
    op.execute(
        """
        INSERT INTO assistant_versions (assistant_id, version, snapshot, created_at)
        SELECT id, 1, to_jsonb(assistants) - ARRAY['version', 'created_at', 'updated_at'], updated_at FROM assistants
        """
    )
    op.add_column("calls", sa.Column("assistant_version", sa.Integer(), nullable=True))


def downgrade() -> None:
    op.drop_column("calls", "assistant_version")
    op.drop_table("assistant_versions")
    for column in _NEW:
        op.drop_column("assistants", column)
