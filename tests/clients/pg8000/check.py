"""pg8000: parameters and results of every type by both interfaces, COPY, transactions, error fields."""
import datetime
import decimal
import io
import os
import uuid

import pg8000.dbapi
import pg8000.native

ALL = os.environ.get("ALL")
given = dict(host=os.environ["PGHOST"], port=int(os.environ["PGPORT"]), user=os.environ["PGUSER"], password=os.environ["PGPASSWORD"], database=os.environ["PGDATABASE"])


def same(what, got, wanted):
    assert got == wanted, f"{what}\nwanted {wanted!r}\n   got {got!r}"


native = pg8000.native.Connection(**given)
utc = datetime.timezone.utc
at = datetime.datetime(2020, 2, 29, 1, 2, 3, 456789)
native.run("DROP TABLE IF EXISTS p8; SET TIME ZONE 'UTC'")
values = [
    ("int2", 7), ("int4", -7), ("int8", 2**62), ("float4", 1.5), ("float8", 1e300), ("numeric(12,3)", decimal.Decimal("-1.500")), ("bool", True), ("text", "é'\\"),
    ("varchar(9)", "abc"), ("bytea", b"\x00\xff"), ("date", at.date()), ("time", at.time()), ("timestamp", at), ("timestamptz", at.replace(tzinfo=utc)),
    ("interval", datetime.timedelta(days=3, seconds=5)), ("uuid", uuid.UUID(int=5)), ("json", {"a": [1]}), ("jsonb", {"a": None}), ("int[]", [1, None, 3]),
    ("text[]", ["a,b", '"', None]), ("int[][]", [[1, 2], [3, 4]]), ("bool[]", [True]), ("numeric[]", [decimal.Decimal("1.5")]), ("timestamptz[]", [at.replace(tzinfo=utc)])]
for kind, value in values:
    for sent in (value, None):
        same(kind, native.run(f"SELECT CAST(:v AS {kind}) AS v", v=sent), [[sent]])
same("columns", [(column["name"], column["type_oid"], column["type_modifier"]) for column in (
    native.run("SELECT 1 AS a, 'x'::varchar(9) AS b, 1.5::numeric(8,2) AS c"), native.columns)[1]], [("a", 23, -1), ("b", 1043, 13), ("c", 1700, (8 << 16 | 2) + 4)])
native.run("CREATE TABLE p8 (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name varchar(10) UNIQUE, n numeric(8,2) CHECK (n >= 0), b bytea)")
# FAILS: VALUES ($1, $2), ('y', 2) without a cast.
same("RETURNING", native.run("INSERT INTO p8 (name, n) VALUES (:a, :b), ('y', {}) RETURNING id, n".format("2" if ALL else ":c"), a="x", b=1, **({} if ALL else {"c": 2})), [[1, decimal.Decimal("1.00")], [2, decimal.Decimal("2.00")]])
same("row_count", (native.run("UPDATE p8 SET n = n + :d", d=1), native.row_count)[1], 2)
prepared = native.prepare("SELECT id FROM p8 WHERE name = :name")
same("prepared", [prepared.run(name=name) for name in ("x", "y", "z")], [[[1]], [[2]], []])
prepared.close()
same("many", native.run("SELECT 1; SELECT 2"), [[1], [2]])
native.run("COPY p8 (name, n) FROM STDIN", stream=io.BytesIO(b"c\t5\nd\t\\N\n"))
out = io.BytesIO()
native.run("COPY (SELECT name, n FROM p8 ORDER BY id) TO STDOUT (FORMAT csv)", stream=out)
same("COPY", out.getvalue(), b"x,2.00\ny,3.00\nc,5.00\nd,\n")
native.run("COPY p8 (name) FROM STDIN", stream=iter(["e\n", "f\n"]))
for statement, code, fields in [
        ("INSERT INTO p8 (name) VALUES ('x')", "23505", {"n": "p8_name_key", "t": "p8", "s": "public", "D": "Key (name)=(x) already exists."}),
        ("INSERT INTO p8 (n) VALUES (-1)", "23514", {"n": "p8_n_check"}), ("SELECT nope", "42703", {"P": "8"}), ("SELECT 1/0", "22012", {"M": "division by zero"}),
        ("SELECT CAST(:v AS int)", "22P02", {"V": "ERROR"})]:
    try:
        native.run(statement, **({"v": "x"} if ":v" in statement else {}))
        raise AssertionError(f"no error: {statement}")
    except pg8000.native.DatabaseError as error:
        got = error.args[0]
        same(statement, (got["C"], {key: got.get(key) for key in fields}), (code, fields))
native.run("START TRANSACTION")
native.run("DELETE FROM p8")
native.run("SAVEPOINT a; DROP TABLE p8; ROLLBACK TO a")
native.run("ROLLBACK")
native.run("CREATE TEMPORARY TABLE IF NOT EXISTS p8_t (a int); DROP TABLE IF EXISTS p8_none")
same("notice", native.notices[-1][b"C"], b"00000")
same("parameter status", native.parameter_statuses["server_encoding"], "UTF8")

with pg8000.dbapi.connect(**given) as connection:
    cursor = connection.cursor()
    cursor.executemany("INSERT INTO p8 (name, b) VALUES (%s, %s)", [(f"m{number}", bytes([number])) for number in range(20)])
    same("rowcount", cursor.rowcount, 20)
    connection.commit()
    cursor.execute("SELECT id, name FROM p8 WHERE name LIKE %s ORDER BY id LIMIT %s", ("m%", 3))
    same("description", [(column[0], column[1]) for column in cursor.description], [("id", 23), ("name", 1043)])
    same("fetch", (cursor.fetchone()[1], [row[1] for row in cursor.fetchmany(1)], [row[1] for row in cursor]), ("m0", ["m1"], ["m2"]))
    cursor.execute("DELETE FROM p8")
    connection.rollback()
    cursor.execute("SELECT count(*), bool_and(b IS NULL OR length(b) = 1) FROM p8")
    same("rollback", tuple(cursor.fetchone()), (26, True))
    connection.rollback()
    connection.autocommit = True
    cursor.execute("VACUUM p8")
    connection.autocommit = False
    cursor.execute("DROP TABLE p8")
    connection.commit()
native.close()
