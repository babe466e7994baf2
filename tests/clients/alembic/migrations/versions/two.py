import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision, down_revision = "two", "one"


def upgrade():
    op.alter_column("person", "full_name", new_column_name="name")
    op.execute("UPDATE person SET name = upper(name)")
    op.alter_column("person", "name", type_=sa.String(40), nullable=False)
    op.create_index("ix_person_name", "person", ["name"])
    op.create_unique_constraint("uq_person_email", "person", ["email"])
    op.drop_column("person", "shoe_size")
    op.add_column("person", sa.Column("boss_id", sa.Integer(), sa.ForeignKey("person.id", name="fk_person_boss_id_person")))
    op.add_column("person", sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False))
    op.add_column("person", sa.Column("created", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False))
    op.alter_column("order", "total", type_=sa.Numeric(12, 2), postgresql_using="total / 100.0")
    op.add_column("order", sa.Column("labels", postgresql.ARRAY(sa.String())))
    op.add_column("order", sa.Column("extra", postgresql.JSONB()))
    op.create_check_constraint("not_negative", "order", "total >= 0")
    op.create_index("ix_order_person_total", "order", ["person_id", sa.text("total DESC")])
    op.create_table(
        "team",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("name", sa.String(40), nullable=False, unique=True))
    op.create_table(
        "membership",
        sa.Column("person_id", sa.Integer(), sa.ForeignKey("person.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("team_id", sa.Integer(), sa.ForeignKey("team.id", ondelete="CASCADE"), primary_key=True))
    op.create_table(
        "line",
        sa.Column("order_number", postgresql.UUID(as_uuid=True), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("sku", sa.String(20), nullable=False),
        sa.PrimaryKeyConstraint("order_number", "position"),
        sa.ForeignKeyConstraint(["order_number"], ["order.number"]),
        sa.UniqueConstraint("order_number", "sku"))
    op.create_table_comment("line", "One article of an order")


def downgrade():
    op.drop_table_comment("line")
    for table in ("line", "membership", "team"):
        op.drop_table(table)
    op.drop_index("ix_order_person_total", "order")
    op.drop_constraint(op.f("ck_order_not_negative"), "order", type_="check")
    op.drop_column("order", "extra")
    op.drop_column("order", "labels")
    op.alter_column("order", "total", type_=sa.Integer(), postgresql_using="(total * 100)::int")
    op.drop_column("person", "created")
    op.drop_column("person", "version")
    op.drop_constraint("fk_person_boss_id_person", "person", type_="foreignkey")
    op.drop_column("person", "boss_id")
    op.add_column("person", sa.Column("shoe_size", sa.SmallInteger()))
    op.drop_constraint("uq_person_email", "person", type_="unique")
    op.drop_index("ix_person_name", "person")
    op.alter_column("person", "name", type_=sa.String(20), nullable=True)
    op.alter_column("person", "name", new_column_name="full_name")
