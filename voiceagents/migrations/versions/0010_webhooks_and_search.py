"""What others are told of (webhooks, live pages), imports that are watched, and long lists that are searched

Triggers tell of what happens in the transaction in which it happens, whichever program that is.
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB, TSVECTOR

revision: str = "0010"
down_revision: str | None = "0009"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_NEWEST_FIRST = (sa.text("created_at DESC"), sa.text("id DESC"))

_FUNCTIONS = (
    """
    CREATE FUNCTION voiceagents_tell(kind text, subject text, data jsonb) RETURNS void LANGUAGE plpgsql AS $$
    DECLARE event bigint;
    BEGIN
        IF NOT EXISTS (SELECT FROM webhook_endpoints WHERE enabled AND jsonb_exists(events, kind)) THEN
            RETURN;
        END IF;
        INSERT INTO webhook_events (kind, subject_id, data) VALUES (kind, subject, data) RETURNING id INTO event;
        INSERT INTO webhook_deliveries (event_id, endpoint_id)
            SELECT event, id FROM webhook_endpoints WHERE enabled AND jsonb_exists(events, kind);
        PERFORM pg_notify('voiceagents_webhooks', '');
    END $$
    """,
    """
    CREATE FUNCTION voiceagents_call_changed() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM pg_notify('voiceagents_events', CAST(
            json_build_object('kind', 'call', 'id', NEW.id, 'campaign', NEW.campaign_id) AS text));
        IF NEW.state = 'ended' THEN
            PERFORM voiceagents_tell('call.ended', CAST(NEW.id AS text), '{}');
        END IF;
        RETURN NULL;
    END $$
    """,
    """
    CREATE FUNCTION voiceagents_turn_spoken() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM pg_notify('voiceagents_events', CAST(json_build_object('kind', 'turn', 'id', NEW.call_id) AS text));
        RETURN NULL;
    END $$
    """,
    """
    CREATE FUNCTION voiceagents_contact_done() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM voiceagents_tell('contact.done', CAST(NEW.id AS text), '{}');
        RETURN NULL;
    END $$
    """,
    """
    CREATE FUNCTION voiceagents_campaign_changed() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM pg_notify('voiceagents_events', CAST(
            json_build_object('kind', 'campaign', 'id', NEW.id, 'campaign', NEW.id) AS text));
        IF TG_OP = 'UPDATE' AND OLD.state IS DISTINCT FROM NEW.state THEN
            PERFORM voiceagents_tell('campaign.' || NEW.state, CAST(NEW.id AS text), jsonb_build_object(
                'name', NEW.name, 'state', NEW.state, 'before', OLD.state, 'cause', NEW.pause_cause));
        END IF;
        RETURN NULL;
    END $$
    """,
)
_TRIGGERS = (
    """
    CREATE TRIGGER voiceagents_made AFTER INSERT ON calls
    FOR EACH ROW EXECUTE FUNCTION voiceagents_call_changed()
    """,
    """
    CREATE TRIGGER voiceagents_changed AFTER UPDATE OF state ON calls
    FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION voiceagents_call_changed()
    """,
    """
    CREATE TRIGGER voiceagents_made AFTER INSERT ON turns
    FOR EACH ROW EXECUTE FUNCTION voiceagents_turn_spoken()
    """,
    """
    CREATE TRIGGER voiceagents_changed AFTER UPDATE OF state ON contacts
    FOR EACH ROW WHEN (NEW.state = 'done' AND OLD.state <> 'done') EXECUTE FUNCTION voiceagents_contact_done()
    """,
    """
    CREATE TRIGGER voiceagents_made AFTER INSERT ON campaigns
    FOR EACH ROW EXECUTE FUNCTION voiceagents_campaign_changed()
    """,
    # What the engine alone keeps (its next look, its turns) is of no interest.
    """
    CREATE TRIGGER voiceagents_changed AFTER UPDATE ON campaigns
    FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state OR OLD.updated_at IS DISTINCT FROM NEW.updated_at)
    EXECUTE FUNCTION voiceagents_campaign_changed()
    """,
)


def _word(name: str, *words: str) -> sa.Enum:
    return sa.Enum(*words, name=name, native_enum=False, create_constraint=True, length=32)


def _time(name: str, *, nullable: bool = True) -> sa.Column[Any]:
    return sa.Column(
        name, sa.DateTime(timezone=True), server_default=None if nullable else sa.func.now(), nullable=nullable
    )


def upgrade() -> None:
    op.create_table(
        "webhook_endpoints",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("url", sa.String(), nullable=False),
        sa.Column("events", JSONB(), nullable=False),
        sa.Column("description", sa.String(), server_default="", nullable=False),
        sa.Column("secret", sa.String(), nullable=False),
        sa.Column("enabled", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("disabled_because", sa.String(), nullable=True),
        _time("created_at", nullable=False),
        _time("updated_at", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_endpoints")),
    )
    op.create_table(
        "webhook_events",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("subject_id", sa.String(), nullable=False),
        _time("at", nullable=False),
        sa.Column("data", JSONB(), server_default=sa.text("'{}'"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_events")),
    )
    op.create_table(
        "webhook_deliveries",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("event_id", sa.BigInteger(), nullable=False),
        sa.Column("endpoint_id", sa.Uuid(), nullable=False),
        sa.Column(
            "state", _word("state", "pending", "delivered", "failed"), server_default="pending", nullable=False
        ),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        _time("next_at", nullable=False),
        _time("delivered_at"),
        sa.Column("log", JSONB(), server_default=sa.text("'[]'"), nullable=False),
        sa.ForeignKeyConstraint(
            ["event_id"], ["webhook_events.id"], name=op.f("fk_webhook_deliveries_event_id_webhook_events"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["endpoint_id"], ["webhook_endpoints.id"], name=op.f("fk_webhook_deliveries_endpoint_id_webhook_endpoints"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_deliveries")),
    )  # fmt: skip
    op.create_index(op.f("ix_webhook_deliveries_event_id"), "webhook_deliveries", ["event_id"])
    op.create_index("ix_webhook_deliveries_endpoint", "webhook_deliveries", ["endpoint_id", "id"])
    op.create_index(
        "ix_webhook_deliveries_due", "webhook_deliveries", ["next_at"], postgresql_where=sa.text("state = 'pending'")
    )
    op.create_table(
        "contact_imports",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("campaign_id", sa.Uuid(), nullable=False),
        sa.Column("file_name", sa.String(), server_default="", nullable=False),
        sa.Column(
            "state",
            _word("state", "running", "finished", "stopped", "cancelled"),
            server_default="running",
            nullable=False,
        ),
        sa.Column("report", JSONB(), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("problem", sa.String(), nullable=True),
        _time("created_at", nullable=False),
        _time("seen_at", nullable=False),
        _time("finished_at"),
        sa.ForeignKeyConstraint(
            ["campaign_id"], ["campaigns.id"], name=op.f("fk_contact_imports_campaign_id_campaigns"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_contact_imports")),
    )
    op.create_index("ix_contact_imports_campaign", "contact_imports", ["campaign_id", "created_at"])
    op.add_column(
        "turns",
        sa.Column(
            "words",
            TSVECTOR(),
            sa.Computed("to_tsvector('simple'::regconfig, \"left\"((text)::text, 100000))", persisted=True),
            nullable=True,
        ),
    )
    op.create_index("ix_turns_words", "turns", ["words"], postgresql_using="gin")
    op.create_index("ix_calls_campaign_listed", "calls", ["campaign_id", *_NEWEST_FIRST])
    op.create_index("ix_calls_outcome_listed", "calls", ["outcome", *_NEWEST_FIRST])
    op.create_index("ix_calls_campaign_outcome_listed", "calls", ["campaign_id", "outcome", *_NEWEST_FIRST])
    op.create_index("ix_calls_assistant_listed", "calls", ["assistant_id", *_NEWEST_FIRST])
    op.create_index(
        "ix_calls_inbound_listed", "calls", [*_NEWEST_FIRST], postgresql_where=sa.text("direction = 'inbound'")
    )
    op.drop_index("ix_contacts_state", "contacts")
    op.create_index("ix_contacts_state", "contacts", ["campaign_id", "state", "position"])
    op.create_index("ix_decisions_campaign", "decisions", ["campaign_id", "id"])
    op.drop_index("ix_decisions_campaign_id", "decisions")
    for statement in (*_FUNCTIONS, *_TRIGGERS):
        op.execute(statement)


def downgrade() -> None:
    for trigger, table in (
        ("made", "calls"), ("changed", "calls"), ("made", "turns"), ("changed", "contacts"), ("made", "campaigns"),
        ("changed", "campaigns"),
    ):  # fmt: skip
        op.execute(f"DROP TRIGGER voiceagents_{trigger} ON {table}")
    for function in ("call_changed", "turn_spoken", "contact_done", "campaign_changed"):
        op.execute(f"DROP FUNCTION voiceagents_{function}()")
    op.execute("DROP FUNCTION voiceagents_tell(text, text, jsonb)")
    op.create_index("ix_decisions_campaign_id", "decisions", ["campaign_id"])
    op.drop_index("ix_decisions_campaign", "decisions")
    op.drop_index("ix_contacts_state", "contacts")
    op.create_index("ix_contacts_state", "contacts", ["campaign_id", "state"])
    for index in ("campaign", "outcome", "campaign_outcome", "assistant", "inbound"):
        op.drop_index(f"ix_calls_{index}_listed", "calls")
    op.drop_index("ix_turns_words", "turns")
    op.drop_column("turns", "words")
    for table in ("contact_imports", "webhook_deliveries", "webhook_events", "webhook_endpoints"):
        op.drop_table(table)
