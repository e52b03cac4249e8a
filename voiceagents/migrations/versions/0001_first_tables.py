"""First tables"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision: str = "0001"
down_revision: str | None = None
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def _word(name: str, *words: str) -> sa.Enum:
    """Text with a CHECK on a closed list of words."""
    return sa.Enum(*words, name=name, native_enum=False, create_constraint=True, length=32)


def upgrade() -> None:
    op.create_table(
        "assistants",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("prompt", sa.String(), nullable=False),
        sa.Column("first_message", sa.String(), nullable=False),
        sa.Column("language", sa.String(), nullable=False),
        sa.Column("llm_model", sa.String(), nullable=True),
        sa.Column("voice", sa.String(), nullable=True),
        sa.Column("temperature", sa.Double[float](), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_assistants")),
    )
    op.create_table(
        "calls",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("direction", _word("direction", "outbound", "inbound"), nullable=False),
        sa.Column(
            "state", _word("state", "queued", "dispatched", "dialing", "ringing", "answered", "ended"), nullable=False
        ),
        sa.Column("from_number", sa.String(), nullable=True),
        sa.Column("to_number", sa.String(), nullable=True),
        sa.Column("room_name", sa.String(), nullable=True),
        sa.Column("trunk_id", sa.String(), nullable=True),
        sa.Column("assistant_id", sa.String(), nullable=True),
        sa.Column("assistant_name", sa.String(), nullable=True),
        sa.Column("campaign_id", sa.String(), nullable=True),
        sa.Column("contact_id", sa.String(), nullable=True),
        sa.Column("contact_name", sa.String(), nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=True),
        sa.Column("worker_id", sa.String(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.Column("dispatched_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("dialing_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ringing_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "outcome",
            _word(
                "outcome",
                "completed",
                "voicemail",
                "screened",
                "busy",
                "no_answer",
                "rejected",
                "invalid_number",
                "unreachable",
                "congestion",
                "not_interested",
                "opted_out",
                "wrong_number",
                "callback_requested",
                "hung_up",
                "no_capacity",
                "failed",
                "cancelled",
            ),
            nullable=True,
        ),
        sa.Column("sip_status", sa.Integer(), nullable=True),
        sa.Column("sip_reason", sa.String(), nullable=True),
        sa.Column("cause", sa.String(), nullable=True),
        sa.Column("ended_by", _word("ended_by", "person", "agent", "carrier", "system"), nullable=True),
        sa.Column("sip_call_id", sa.String(), nullable=True),
        sa.Column("details", JSONB(), server_default=sa.text("'{}'"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_calls")),
        sa.UniqueConstraint(
            "campaign_id", "contact_id", "attempt", name=op.f("uq_calls_campaign_id_contact_id_attempt")
        ),
    )
    op.create_index(
        "ix_calls_created_at",
        "calls",
        [sa.literal_column("created_at DESC"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_index(op.f("ix_calls_from_number"), "calls", ["from_number"], unique=False)
    op.create_index(
        "ix_calls_not_ended", "calls", ["created_at"], unique=False, postgresql_where=sa.text("state <> 'ended'")
    )
    op.create_index(op.f("ix_calls_room_name"), "calls", ["room_name"], unique=False)
    op.create_index(op.f("ix_calls_to_number"), "calls", ["to_number"], unique=False)
    op.create_index(op.f("ix_calls_worker_id"), "calls", ["worker_id"], unique=False)
    op.create_index(
        "uq_calls_number_underway",
        "calls",
        ["to_number"],
        unique=True,
        postgresql_where=sa.text("direction = 'outbound' AND state IN ('dialing', 'ringing', 'answered')"),
    )
    op.create_index(
        "uq_calls_room_underway",
        "calls",
        ["room_name"],
        unique=True,
        postgresql_where=sa.text("state IN ('dialing', 'ringing', 'answered')"),
    )
    op.create_table(
        "workers",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("host", sa.String(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.Column("stopped_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_workers")),
    )
    op.create_table(
        "call_events",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("call_id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("detail", JSONB(), server_default=sa.text("'{}'"), nullable=False),
        sa.ForeignKeyConstraint(
            ["call_id"], ["calls.id"], name=op.f("fk_call_events_call_id_calls"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_call_events")),
    )
    op.create_index(op.f("ix_call_events_call_id"), "call_events", ["call_id"], unique=False)
    op.create_table(
        "campaigns",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("prompt", sa.String(), nullable=False),
        sa.Column("assistant_id", sa.String(), nullable=True),
        sa.Column("trunk_id", sa.String(), nullable=True),
        sa.Column("default_region", sa.String(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.ForeignKeyConstraint(
            ["assistant_id"], ["assistants.id"], name=op.f("fk_campaigns_assistant_id_assistants"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_campaigns")),
    )
    op.create_table(
        "numbers",
        sa.Column("e164", sa.String(), nullable=False),
        sa.Column("label", sa.String(), nullable=False),
        sa.Column("assistant_id", sa.String(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.ForeignKeyConstraint(
            ["assistant_id"], ["assistants.id"], name=op.f("fk_numbers_assistant_id_assistants"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("e164", name=op.f("pk_numbers")),
    )
    op.create_index(op.f("ix_numbers_assistant_id"), "numbers", ["assistant_id"], unique=False)
    op.create_table(
        "turns",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("call_id", sa.Uuid(), nullable=False),
        sa.Column("item_id", sa.String(), nullable=False),
        sa.Column("speaker", _word("speaker", "agent", "person"), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("interrupted", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("latencies", JSONB(), server_default=sa.text("'{}'"), nullable=False),
        sa.ForeignKeyConstraint(["call_id"], ["calls.id"], name=op.f("fk_turns_call_id_calls"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_turns")),
        sa.UniqueConstraint("call_id", "item_id", name=op.f("uq_turns_call_id_item_id")),
    )
    op.create_table(
        "contacts",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("campaign_id", sa.Uuid(), nullable=False),
        sa.Column("phone", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("email", sa.String(), nullable=False),
        sa.Column("time_zone", sa.String(), nullable=True),
        sa.Column("variables", JSONB(), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.ForeignKeyConstraint(
            ["campaign_id"], ["campaigns.id"], name=op.f("fk_contacts_campaign_id_campaigns"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_contacts")),
        sa.UniqueConstraint("campaign_id", "phone", name=op.f("uq_contacts_campaign_id_phone")),
    )


def downgrade() -> None:
    for table in ("contacts", "turns", "numbers", "campaigns", "call_events", "workers", "calls", "assistants"):
        op.drop_table(table)
