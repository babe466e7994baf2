"""An SQLAlchemy project with Alembic: revisions up and down, relations, bulk operations, nested transactions."""
import os
import sys
import uuid
from decimal import Decimal

here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, here)
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from models import Base, Line, Order, Person, Team
from psycopg import conninfo
from sqlalchemy import URL, create_engine, delete, func, inspect, insert, select, text, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, aliased, joinedload, selectinload
from sqlalchemy.orm.exc import StaleDataError

given = conninfo.conninfo_to_dict(sys.argv[1])


def check(driver):
    url = URL.create(f"postgresql+{driver}", given["user"], given.get("password"), given["host"], int(given["port"]), given["dbname"])
    engine = create_engine(url)
    config = Config()
    config.set_main_option("script_location", os.path.join(here, "migrations"))
    config.attributes["engine"] = engine
    command.upgrade(config, "one")
    command.upgrade(config, "head")
    command.downgrade(config, "one")
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT string_agg(full_name, ',' ORDER BY id) FROM person")) == "P0,P1,P2"
    command.upgrade(config, "head")
    with engine.connect() as connection:
        found = compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), Base.metadata)
    assert found == [("remove_table_comment", found[0][1])] if found else not found, found

    inspector = inspect(engine)
    assert inspector.get_pk_constraint("order") == {"constrained_columns": ["number"], "name": "pk_order", "comment": None} | {
        key: value for key, value in inspector.get_pk_constraint("order").items() if key == "dialect_options"}
    assert {key["name"] for key in inspector.get_foreign_keys("membership")} == {"fk_membership_person_id_person", "fk_membership_team_id_team"}
    assert all(key["options"]["ondelete"] == "CASCADE" for key in inspector.get_foreign_keys("membership"))
    assert [key["column_names"] for key in inspector.get_unique_constraints("line")] == [["order_number", "sku"]]
    assert inspector.get_check_constraints("order")[0]["name"] == "ck_order_not_negative"
    assert "total >= 0" in inspector.get_check_constraints("order")[0]["sqltext"]
    indexes = {index["name"]: index for index in inspector.get_indexes("order")}
    assert indexes["ix_order_person_total"]["column_names"] == ["person_id", "total"]
    assert indexes["ix_order_person_total"]["column_sorting"] == {"total": ("desc",)}
    with Session(engine) as session:
        session.execute(delete(Person))
        session.commit()

    with Session(engine) as session:
        boss = Person(name="Boss", email="boss@example.org")
        people = [Person(name=f"P{n}", email=f"p{n}@example.org", boss=boss) for n in range(20)]
        teams = [Team(name=name) for name in ("red", "blue")]
        for number, person in enumerate(people):
            person.teams.append(teams[number % 2])
            if number % 4 == 0:
                person.orders.append(Order(total=Decimal(number), labels=["a", "b"], extra={"n": number}, lines=[
                    Line(position=position, sku=f"sku{position}") for position in range(3)]))
        session.add_all([boss, *people])
        session.commit()
        assert boss.version == 1 and boss.created.tzinfo is not None and len(boss.staff) == 20

        red = session.scalars(select(Team).options(selectinload(Team.members)).where(Team.name == "red")).one()
        assert len(red.members) == 10
        order = session.scalars(select(Order).options(joinedload(Order.lines), joinedload(Order.person)).where(Order.total == 4)).unique().one()
        assert [line.sku for line in order.lines] == ["sku0", "sku1", "sku2"] and order.extra == {"n": 4}
        order.lines.pop(1)
        order.labels = [*order.labels, "c"]
        red.members.pop()
        session.commit()
        assert session.scalar(select(func.count()).select_from(Line)) == 14
        staff = aliased(Person)
        query = select(Person.name, func.count(staff.id)).join(staff, staff.boss_id == Person.id).group_by(Person.id)
        assert session.execute(query).all() == [("Boss", 20)]
        tree = select(Person.id, Person.boss_id).where(Person.boss_id.is_(None)).cte("tree", recursive=True)
        tree = tree.union_all(select(Person.id, Person.boss_id).join(tree, Person.boss_id == tree.c.id))
        assert session.scalar(select(func.count()).select_from(tree)) == 21

        # Many at once.
        made = session.scalars(insert(Person).returning(Person, sort_by_parameter_order=True), [{"name": f"bulk{n}"} for n in range(2500)]).all()
        assert len({person.id for person in made}) == 2500 and made[7].name == "bulk7"
        session.execute(update(Person), [{"id": person.id, "name": person.name.upper(), "version": 1} for person in made[:10]])
        assert session.scalar(select(func.count()).where(Person.name.like("BULK%"))) == 10
        assert session.execute(update(Person).where(Person.name.like("bulk%")).values(email=Person.name + "@example.org")).rowcount == 2490
        assert session.execute(delete(Person).where(Person.name.ilike("bulk%")).returning(Person.id)).all().__len__() == 2500
        session.commit()

        upsert = postgresql.insert(Team).values([{"name": "red"}, {"name": "green"}])
        upsert = upsert.on_conflict_do_update(index_elements=[Team.name], set_={"name": upsert.excluded.name + "!"}).returning(Team.name)
        assert sorted(session.scalars(upsert)) == ["green", "red!"]
        session.execute(postgresql.insert(Team).values(name="green").on_conflict_do_nothing())
        session.commit()

        # Nested transactions.
        with session.begin_nested():
            session.add(Team(name="outer"))
        try:
            with session.begin_nested():
                session.add(Team(name="blue"))
                session.flush()
        except IntegrityError as error:
            assert error.orig.diag.constraint_name == "uq_team_name" if driver == "psycopg" else error.orig.pgcode == "23505"
        else:
            raise AssertionError
        for broken in (Order(total=-1, person=boss), Line(order_number=order.number, position=0, sku="again")):
            try:
                with session.begin_nested():
                    session.add(broken)
                    session.flush()
            except IntegrityError:
                continue
            raise AssertionError
        session.commit()
        assert set(session.scalars(select(Team.name))) == {"red!", "blue", "green", "outer"}

        # Somebody else was faster.
        with Session(engine) as other:
            other.get(Person, boss.id).name = "Chief"
            other.commit()
        boss.name = "Boss?"
        try:
            session.commit()
        except StaleDataError:
            session.rollback()
        else:
            raise AssertionError
        assert boss.name == "Chief" and boss.version == 2

        session.delete(people[4])
        session.commit()
        assert session.scalar(select(func.count()).select_from(Order)) == 4
        assert session.scalar(select(func.count()).select_from(Line)) == 12
    command.downgrade(config, "base")
    assert inspect(engine).get_table_names() == ["alembic_version"]
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE alembic_version"))
    engine.dispose()


for driver in ("psycopg", "psycopg2"):
    check(driver)
print("alembic: ok")
