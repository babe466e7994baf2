import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision, down_revision = "one", None


def upgrade():
    op.create_table(
        "person",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("full_name", sa.String(20), nullable=True),
        sa.Column("email", sa.String(80)),
        sa.Column("shoe_size", sa.SmallInteger()))
    op.create_table(
        "order",
        sa.Column("number", postgresql.UUID(as_uuid=True), nullable=False),
        sa.Column("person_id", sa.Integer(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_order"),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name="fk_order_person_id_person"))
    op.bulk_insert(
        sa.table("person", sa.column("full_name", sa.String), sa.column("shoe_size", sa.SmallInteger)),
        [{"full_name": f"P{n}", "shoe_size": 40 + n} for n in range(3)])


def downgrade():
    op.drop_table("order")
    op.drop_table("person")
