"""A version of an assistant is never changed nor taken away: calls refer to it"""

from collections.abc import Sequence

from alembic import op

revision: str = "0011"
down_revision: str | None = "0010"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.execute(
        """
        CREATE FUNCTION refuse_change_of_version() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION 'versions of assistants are immutable: calls refer to them';
        END $$
        """
    )
    op.execute(
        """
        CREATE TRIGGER assistant_versions_stay BEFORE UPDATE OR DELETE ON assistant_versions
        FOR EACH ROW EXECUTE FUNCTION refuse_change_of_version()
        """
    )


def downgrade() -> None:
    op.execute("DROP TRIGGER assistant_versions_stay ON assistant_versions")
    op.execute("DROP FUNCTION refuse_change_of_version()")
