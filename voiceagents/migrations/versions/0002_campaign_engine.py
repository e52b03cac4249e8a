"""The campaign engine: states, limits, decisions, the do-not-call list, and procrastinate's job tables"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from procrastinate.schema import SchemaManager
from sqlalchemy.dialects import postgresql

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


# Tables, functions and types of procrastinate are all named for it.
_DROP_JOBS = """
DO $$
DECLARE statement text;
BEGIN
    FOR statement IN
        SELECT format('DROP TABLE IF EXISTS %s CASCADE', oid::regclass) FROM pg_class
        WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace AND starts_with(relname, 'procrastinate_')
        UNION ALL
        SELECT format('DROP FUNCTION IF EXISTS %s CASCADE', oid::regprocedure) FROM pg_proc
        WHERE pronamespace = current_schema()::regnamespace AND starts_with(proname, 'procrastinate_')
        UNION ALL
        SELECT format('DROP TYPE IF EXISTS %s CASCADE', oid::regtype) FROM pg_type
        WHERE typnamespace = current_schema()::regnamespace AND starts_with(typname, 'procrastinate_')
        AND (typtype = 'e' OR EXISTS (SELECT FROM pg_class c WHERE c.oid = typrelid AND c.relkind = 'c'))
    LOOP
        EXECUTE statement;
    END LOOP;
END $$
"""


def _run(script: str) -> None:
    # Several statements with % and : in them, without parameters: to the driver's own connection as they are.
    connection = op.get_bind().connection.driver_connection
    assert connection is not None
    connection.execute(script)


def upgrade() -> None:
    op.create_table(
        "installation",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("max_concurrent", sa.Integer(), server_default="50", nullable=True),
        sa.Column("kept_for_inbound", sa.Integer(), server_default="1", nullable=False),
        sa.Column("hold_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("hold_seconds", sa.Double[float](), server_default="0", nullable=False),
        sa.Column("hold_cause", sa.String(), nullable=True),
        sa.CheckConstraint("id = 1", name=op.f("ck_installation_one_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_installation")),
    )
    op.create_table(
        "trunk_limits",
        sa.Column("trunk_id", sa.String(), nullable=False),
        sa.Column("max_concurrent", sa.Integer(), server_default="10", nullable=True),
        sa.Column("calls_per_second", sa.Double[float](), server_default="1", nullable=True),
        sa.Column("next_dial_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("hold_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("hold_seconds", sa.Double[float](), server_default="0", nullable=False),
        sa.Column("hold_cause", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("trunk_id", name=op.f("pk_trunk_limits")),
    )
    op.create_table(
        "do_not_call",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("phone", sa.String(), nullable=False),
        sa.Column("campaign_id", sa.Uuid(), nullable=True),
        sa.Column("reason", sa.String(), server_default="", nullable=False),
        sa.Column("added_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("removed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("removed_because", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(
            ["campaign_id"], ["campaigns.id"], name=op.f("fk_do_not_call_campaign_id_campaigns"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_do_not_call")),
    )
    op.create_index(
        "uq_do_not_call_listed",
        "do_not_call",
        ["phone", sa.literal_column("coalesce(campaign_id, '00000000-0000-0000-0000-000000000000')")],
        unique=True,
        postgresql_where=sa.text("removed_at IS NULL"),
    )
    op.create_table(
        "decisions",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("campaign_id", sa.Uuid(), nullable=False),
        sa.Column("contact_id", sa.Uuid(), nullable=True),
        sa.Column("call_id", sa.Uuid(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column(
            "verdict",
            sa.Enum(
                "dial",
                "defer",
                "skip",
                "hold",
                "retry",
                "finish",
                name="verdict",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("rule", sa.String(), nullable=False),
        sa.Column("words", sa.String(), nullable=False),
        sa.Column("inputs", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["campaign_id"], ["campaigns.id"], name=op.f("fk_decisions_campaign_id_campaigns"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["contact_id"], ["contacts.id"], name=op.f("fk_decisions_contact_id_contacts"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_decisions")),
    )
    op.create_index(op.f("ix_decisions_campaign_id"), "decisions", ["campaign_id"], unique=False)
    op.create_index("ix_decisions_contact", "decisions", ["contact_id", "at"], unique=False)
    op.add_column("calls", sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index("ix_calls_campaign_ended", "calls", ["campaign_id", "ended_at"], unique=False)
    op.create_index(
        "ix_calls_dialed_number",
        "calls",
        ["to_number", "dialing_at"],
        unique=False,
        postgresql_where=sa.text("dialing_at IS NOT NULL"),
    )
    op.create_index(
        "ix_calls_unsettled",
        "calls",
        ["ended_at"],
        unique=False,
        postgresql_where=sa.text("state = 'ended' AND settled_at IS NULL"),
    )
    op.add_column(
        "campaigns",
        sa.Column(
            "state",
            sa.Enum(
                "draft",
                "scheduled",
                "running",
                "paused",
                "completed",
                "cancelled",
                "archived",
                name="state",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            server_default="draft",
            nullable=False,
        ),
    )
    op.add_column("campaigns", sa.Column("time_zone", sa.String(), server_default="UTC", nullable=False))
    op.add_column(
        "campaigns",
        sa.Column("window", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
    )
    op.add_column("campaigns", sa.Column("holidays_of", sa.String(), nullable=True))
    op.add_column(
        "campaigns",
        sa.Column("blackout", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'[]'"), nullable=False),
    )
    op.add_column("campaigns", sa.Column("starts_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("campaigns", sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("campaigns", sa.Column("max_concurrent", sa.Integer(), server_default="5", nullable=True))
    op.add_column("campaigns", sa.Column("calls_per_second", sa.Double[float](), server_default="1", nullable=True))
    op.add_column("campaigns", sa.Column("priority", sa.Integer(), server_default="5", nullable=False))
    op.add_column("campaigns", sa.Column("daily_cap", sa.Integer(), nullable=True))
    op.add_column("campaigns", sa.Column("attempts_per_day", sa.Integer(), server_default="2", nullable=True))
    op.add_column("campaigns", sa.Column("attempts_per_number", sa.Integer(), nullable=True))
    op.add_column("campaigns", sa.Column("minimum_gap_seconds", sa.Integer(), server_default="3600", nullable=False))
    op.add_column(
        "campaigns",
        sa.Column("retry", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
    )
    op.add_column("campaigns", sa.Column("pause_cause", sa.String(), nullable=True))
    op.add_column("campaigns", sa.Column("next_dial_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("campaigns", sa.Column("wake_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column(
        "campaigns",
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
    )
    op.add_column("campaigns", sa.Column("started_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("campaigns", sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        "ix_campaigns_running",
        "campaigns",
        ["id"],
        unique=False,
        postgresql_where=sa.text("state IN ('scheduled', 'running')"),
    )
    op.create_index(op.f("ix_campaigns_trunk_id"), "campaigns", ["trunk_id"], unique=False)
    op.add_column("contacts", sa.Column("position", sa.BigInteger(), sa.Identity(always=False), nullable=False))
    op.add_column("contacts", sa.Column("zones", sa.String(), server_default="", nullable=False))
    op.add_column(
        "contacts",
        sa.Column(
            "state",
            sa.Enum(
                "waiting",
                "calling",
                "done",
                "skipped",
                "cancelled",
                name="state",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            server_default="waiting",
            nullable=False,
        ),
    )
    op.add_column(
        "contacts", sa.Column("next_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False)
    )
    op.add_column("contacts", sa.Column("attempts", sa.Integer(), server_default="0", nullable=False))
    op.add_column("contacts", sa.Column("dispatches", sa.Integer(), server_default="0", nullable=False))
    op.add_column("contacts", sa.Column("call_id", sa.Uuid(), nullable=True))
    op.add_column("contacts", sa.Column("last_outcome", sa.String(), nullable=True))
    op.add_column("contacts", sa.Column("callback_at", sa.DateTime(timezone=True), nullable=True))
    op.alter_column(
        "contacts", "id", existing_type=sa.UUID(), server_default=sa.text("gen_random_uuid()"), existing_nullable=False
    )
    op.alter_column("contacts", "name", existing_type=sa.VARCHAR(), server_default="", existing_nullable=False)
    op.alter_column("contacts", "email", existing_type=sa.VARCHAR(), server_default="", existing_nullable=False)
    op.create_index(op.f("ix_contacts_call_id"), "contacts", ["call_id"], unique=False)
    op.create_index(
        "ix_contacts_due",
        "contacts",
        ["campaign_id", "zones", "next_at", "position"],
        unique=False,
        postgresql_where=sa.text("state = 'waiting'"),
    )
    op.create_index("ix_contacts_state", "contacts", ["campaign_id", "state"], unique=False)
    op.add_column("workers", sa.Column("max_calls", sa.Integer(), server_default="0", nullable=False))
    op.add_column("workers", sa.Column("active_calls", sa.Integer(), server_default="0", nullable=False))
    op.add_column("workers", sa.Column("accepting", sa.Boolean(), server_default=sa.text("true"), nullable=False))
    _run(SchemaManager.get_schema())


def downgrade() -> None:
    _run(_DROP_JOBS)
    op.drop_column("workers", "accepting")
    op.drop_column("workers", "active_calls")
    op.drop_column("workers", "max_calls")
    op.drop_index("ix_contacts_state", table_name="contacts")
    op.drop_index("ix_contacts_due", table_name="contacts", postgresql_where=sa.text("state = 'waiting'"))
    op.drop_index(op.f("ix_contacts_call_id"), table_name="contacts")
    op.alter_column("contacts", "email", existing_type=sa.VARCHAR(), server_default=None, existing_nullable=False)
    op.alter_column("contacts", "name", existing_type=sa.VARCHAR(), server_default=None, existing_nullable=False)
    op.alter_column("contacts", "id", existing_type=sa.UUID(), server_default=None, existing_nullable=False)
    op.drop_column("contacts", "callback_at")
    op.drop_column("contacts", "last_outcome")
    op.drop_column("contacts", "call_id")
    op.drop_column("contacts", "dispatches")
    op.drop_column("contacts", "attempts")
    op.drop_column("contacts", "next_at")
    op.drop_column("contacts", "state")
    op.drop_column("contacts", "zones")
    op.drop_column("contacts", "position")
    op.drop_index(op.f("ix_campaigns_trunk_id"), table_name="campaigns")
    op.drop_index(
        "ix_campaigns_running", table_name="campaigns", postgresql_where=sa.text("state IN ('scheduled', 'running')")
    )
    op.drop_column("campaigns", "finished_at")
    op.drop_column("campaigns", "started_at")
    op.drop_column("campaigns", "updated_at")
    op.drop_column("campaigns", "wake_at")
    op.drop_column("campaigns", "next_dial_at")
    op.drop_column("campaigns", "pause_cause")
    op.drop_column("campaigns", "retry")
    op.drop_column("campaigns", "minimum_gap_seconds")
    op.drop_column("campaigns", "attempts_per_number")
    op.drop_column("campaigns", "attempts_per_day")
    op.drop_column("campaigns", "daily_cap")
    op.drop_column("campaigns", "priority")
    op.drop_column("campaigns", "calls_per_second")
    op.drop_column("campaigns", "max_concurrent")
    op.drop_column("campaigns", "expires_at")
    op.drop_column("campaigns", "starts_at")
    op.drop_column("campaigns", "blackout")
    op.drop_column("campaigns", "holidays_of")
    op.drop_column("campaigns", "window")
    op.drop_column("campaigns", "time_zone")
    op.drop_column("campaigns", "state")
    op.drop_index(
        "ix_calls_unsettled", table_name="calls", postgresql_where=sa.text("state = 'ended' AND settled_at IS NULL")
    )
    op.drop_index("ix_calls_dialed_number", table_name="calls", postgresql_where=sa.text("dialing_at IS NOT NULL"))
    op.drop_index("ix_calls_campaign_ended", table_name="calls")
    op.drop_column("calls", "settled_at")
    op.drop_index("ix_decisions_contact", table_name="decisions")
    op.drop_index(op.f("ix_decisions_campaign_id"), table_name="decisions")
    op.drop_table("decisions")
    op.drop_index("uq_do_not_call_listed", table_name="do_not_call", postgresql_where=sa.text("removed_at IS NULL"))
    op.drop_table("do_not_call")
    op.drop_table("trunk_limits")
    op.drop_table("installation")
