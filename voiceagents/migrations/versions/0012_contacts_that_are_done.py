"""What is told of a contact that is done: who it was, and how the last call ended"""

from collections.abc import Sequence

from alembic import op

revision: str = "0012"
down_revision: str | None = "0011"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_FUNCTION = """
CREATE OR REPLACE FUNCTION voiceagents_contact_done() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM voiceagents_tell('contact.done', CAST(NEW.id AS text), {data});
    RETURN NULL;
END $$
"""
_TOLD = """jsonb_build_object(
        'campaign_id', NEW.campaign_id, 'phone', NEW.phone, 'name', NEW.name, 'email', NEW.email,
        'variables', NEW.variables, 'attempts', NEW.attempts, 'last_outcome', NEW.last_outcome, 'call_id', NEW.call_id)
"""


def upgrade() -> None:
    op.execute(_FUNCTION.format(data=_TOLD))


def downgrade() -> None:
    op.execute(_FUNCTION.format(data="'{}'"))
