"""psqlODBC through pyodbc: parameters and results of every type, metadata calls, cursors, transactions, errors."""
import datetime
import decimal
import os
import uuid

import pyodbc

ALL = os.environ.get("ALL")
DSN = "Driver={{PostgreSQL Unicode}};Server={PGHOST};Port={PGPORT};Uid={PGUSER};Pwd={PGPASSWORD};Database={PGDATABASE};BoolsAsChar=0;ByteaAsLongVarBinary=1".format(**os.environ)


def same(what, got, wanted):
    assert got == wanted, f"{what}\nwanted {wanted!r}\n   got {got!r}"


def fails(state, statement, *arguments):
    try:
        cursor.execute(statement, *arguments)
        connection.commit()
    except pyodbc.Error as raised:
        same(statement, raised.args[0], state)
        connection.rollback()
        return raised.args[1]
    raise AssertionError(f"no {state}: {statement}")


connection = pyodbc.connect(DSN)
cursor = connection.cursor()
same("SQLGetInfo", (connection.getinfo(pyodbc.SQL_DBMS_NAME), connection.getinfo(pyodbc.SQL_DATABASE_NAME)), ("PostgreSQL", os.environ["PGDATABASE"]))
assert int(connection.getinfo(pyodbc.SQL_DBMS_VER).split(".")[0]) >= 17
cursor.execute("DROP VIEW IF EXISTS o_view; DROP TABLE IF EXISTS o_line; DROP TABLE IF EXISTS o_items")
connection.commit()

# A value of every type: with prepared statements of the server and without, as parameter, as column, as NULL.
stamp = datetime.datetime(2020, 2, 29, 1, 2, 3, 456789)
values = [
    ("int2", 7), ("int4", -7), ("int8", 2**62), ("float4", 1.5), ("float8", 1e100), ("numeric(12,3)", decimal.Decimal("-1.500")), ("bool", True),
    ("text", "é'\\x?"), ("varchar(9)", "abc"), ("char(3)", "ab "), ("date", stamp.date()), ("time", datetime.time(1, 2, 3)), ("timestamp", stamp),
    ("timestamptz", stamp), ("uuid", "00000000-0000-0000-0000-000000000005"), ("bytea", b"\x00\xff'"), ("json", '{"a":1}'), ("jsonb", '{"a": 1}'),
    ("interval", "1 day 02:00:00"), ("int[]", "{1,NULL,3}"), ("text[]", '{"a,b",c}')]
for server in (1, 0):
    typed = pyodbc.connect(DSN + f";UseServerSidePrepare={server}").cursor()
    typed.execute("CREATE TEMPORARY TABLE o_types (" + ", ".join(f"c{number} {kind}" for number, (kind, _) in enumerate(values)) + ")")
    marks = ", ".join("?" * len(values))
    typed.execute(f"INSERT INTO o_types VALUES ({marks})", [value for _, value in values])
    typed.execute(f"INSERT INTO o_types VALUES ({marks})", [None] * len(values))
    rows = typed.execute("SELECT * FROM o_types").fetchall()
    for (kind, value), got, null in zip(values, *rows):
        same(f"{kind} (UseServerSidePrepare={server})", (got, null), (value, None))
        same(f"? of {kind}", typed.execute(f"SELECT ?::{kind}", (value,)).fetchval(), value)
    same("kinds of columns", [column[1] for column in typed.execute("SELECT * FROM o_types").description[:13]], [
        int, int, int, float, float, decimal.Decimal, bool, str, str, str, datetime.date, datetime.time, datetime.datetime])
    same("column", typed.execute("SELECT 1.5::numeric(12,3) AS n").description, (("n", decimal.Decimal, None, 12, 12, 3, True),))
    same("long text", typed.execute("SELECT length(?::text), ?", ("x" * 100000, "y" * 5000)).fetchone()[0], 100000)
    same("untyped", tuple(typed.execute("SELECT ? || 'b', upper(?), ? + 1", ("a", "c", 2)).fetchone()), ("ab", "C", 3))
    typed.connection.close()

# Tables, keys and views, and what the catalogue functions say of them.
cursor.execute("CREATE TABLE o_items (id serial PRIMARY KEY, name varchar(10) NOT NULL UNIQUE, n numeric(8,2) DEFAULT 1 CHECK (n >= 0), at timestamp, doc text)")
cursor.execute("CREATE TABLE o_line (item int REFERENCES o_items (id), no int, b bytea, PRIMARY KEY (item, no))")
cursor.execute("CREATE INDEX o_items_at ON o_items (at)")
cursor.execute("CREATE VIEW o_view AS SELECT id, name FROM o_items")
connection.commit()
same("SQLTables", [(row.table_name, row.table_type) for row in cursor.tables(schema="public", table="o\\_%")],
     [("o_items", "TABLE"), ("o_line", "TABLE"), ("o_view", "VIEW")])
same("SQLTables of views", [row.table_name for row in cursor.tables(schema="public", tableType="VIEW", table="o\\_%")], ["o_view"])
assert "public" in [row[1] for row in cursor.tables(catalog="", schema="%", table="")]
same("SQLColumns", [(row.column_name, row.data_type, row.type_name, row.column_size, row.decimal_digits, row.nullable, row.column_def) for row in
                    cursor.columns(table="o_items", schema="public")], [
    ("id", pyodbc.SQL_INTEGER, "int4", 10, 0, 0, "nextval('o_items_id_seq'::regclass)"), ("name", pyodbc.SQL_WVARCHAR, "varchar", 10, None, 0, None),
    ("n", pyodbc.SQL_NUMERIC, "numeric", 8, 2, 1, "1"), ("at", pyodbc.SQL_TYPE_TIMESTAMP, "timestamp", 26, 6, 1, None),
    ("doc", pyodbc.SQL_WLONGVARCHAR, "text", 8190, None, 1, None)])
same("SQLPrimaryKeys", [(row.column_name, row.key_seq, row.pk_name) for row in cursor.primaryKeys("o_line", schema="public")],
     [("item", 1, "o_line_pkey"), ("no", 2, "o_line_pkey")])
same("SQLForeignKeys", [(row.pktable_name, row.pkcolumn_name, row.fkcolumn_name, row.fk_name) for row in cursor.foreignKeys(foreignTable="o_line")],
     [("o_items", "id", "item", "o_line_item_fkey")])
same("SQLForeignKeys to", [row.fktable_name for row in cursor.foreignKeys(table="o_items")], ["o_line"])
same("SQLStatistics", sorted((row.index_name, row.non_unique, row.column_name) for row in cursor.statistics("o_items") if row.index_name),
     [("o_items_at", 1, "at"), ("o_items_name_key", 0, "name"), ("o_items_pkey", 0, "id")])
same("SQLSpecialColumns", [row.column_name for row in cursor.rowVerColumns("o_items")], ["xmin"])
assert {"int4", "text", "timestamptz", "bytea"} <= {row.type_name for row in cursor.getTypeInfo()}
assert not cursor.procedures(procedure="o_none").fetchall() and not cursor.procedureColumns(procedure="o_none").fetchall()

# Changes: executemany (rows and arrays of parameters), counts, RETURNING, upsert.
for fast in (False, True):
    cursor.fast_executemany = fast
    cursor.executemany("INSERT INTO o_items (name, n, at) VALUES (?, ?, ?)", [(f"{fast}{number}"[-10:], number, stamp) for number in range(100)])
same("count", tuple(cursor.execute("SELECT count(*), sum(n) FROM o_items").fetchone()), (200, 9900))
same("UPDATE", cursor.execute("UPDATE o_items SET n = n + ? WHERE n < ?", (1, 10)).rowcount, 20)
same("RETURNING", tuple(cursor.execute("INSERT INTO o_items (name) VALUES (?) RETURNING id, n", ("r",)).fetchone()), (201, decimal.Decimal("1.00")))
same("upsert", cursor.execute("INSERT INTO o_items (name, n) VALUES (?, 5) ON CONFLICT (name) DO UPDATE SET n = EXCLUDED.n RETURNING n", ("r",)).fetchval(), 5)
same("MERGE", cursor.execute("MERGE INTO o_items USING (VALUES ('r', 6), ('s', 7)) AS v (name, n) ON o_items.name = v.name"
                             " WHEN MATCHED THEN UPDATE SET n = v.n WHEN NOT MATCHED THEN INSERT (name, n) VALUES (v.name, v.n)").rowcount, 2)
cursor.execute("SELECT 1 AS a; SELECT 'x' AS b")
same("first of two", tuple(cursor.fetchall()[0]), (1,))
assert cursor.nextset()
same("second of two", (cursor.fetchval(), cursor.nextset()), ("x", False))
same("escapes", tuple(cursor.execute("SELECT {fn ucase('a')}, {d '2020-01-02'}, {ts '2020-01-02 03:04:05'}, {fn length('abc')}").fetchone()),
     ("A", datetime.date(2020, 1, 2), datetime.datetime(2020, 1, 2, 3, 4, 5), 3))
same("LIMIT ?", [row.name for row in cursor.execute("SELECT name FROM o_items WHERE name LIKE ? ORDER BY id DESC LIMIT ? OFFSET ?", ("False%", 2, 1))], ["False98", "False97"])
same("IN", cursor.execute("SELECT count(*) FROM o_items WHERE name IN (?, ?)", ("r", "s")).fetchval(), 2)
connection.commit()

# Rows fetched in pieces by DECLARE and FETCH, also over a COMMIT.
with pyodbc.connect(DSN + ";UseDeclareFetch=1;Fetch=37") as fetching:
    walk = fetching.cursor()
    walk.execute("SELECT id FROM o_items WHERE id > ? ORDER BY id", (0,))
    same("fetchmany", [row.id for row in walk.fetchmany(3)], [1, 2, 3])
    assert len(walk.fetchall()) >= 197
    same("fetch within savepoints", sum(row[0] for row in walk.execute("SELECT generate_series(1, 1000)")), 500500)
fetching.close()

# Transactions and errors.
cursor.execute("INSERT INTO o_items (name) VALUES ('gone')")
connection.rollback()
same("rollback", cursor.execute("SELECT count(*) FROM o_items WHERE name = 'gone'").fetchval(), 0)
connection.commit()
assert "o_items_name_key" in fails("23505", "INSERT INTO o_items (name) VALUES (?)", ("r",))
assert "o_items_n_check" in fails("23514", "INSERT INTO o_items (name, n) VALUES ('c', -1)")
fails("23502", "INSERT INTO o_items (name) VALUES (NULL)")
fails("42703", "SELECT nope FROM o_items")
fails("42P01", "SELECT 1 FROM nope")
fails("42601", "SELEC 1")
fails("22012", "SELECT 1/0")
fails("22P02", "SELECT ?::int", ("x",))
for protocol in ("7.4-1", "7.4-2"):  # after an error: the transaction is rolled back, or only the statement (by a savepoint)
    with pyodbc.connect(DSN + f";Protocol={protocol}") as kept:
        statement = kept.cursor()
        statement.execute("INSERT INTO o_line VALUES (1, ?, ?)", (int(protocol[-1]), b"\x01"))
        try:
            statement.execute("SELECT 1/0")
            raise AssertionError("1/0")
        except pyodbc.Error as error:
            same("1/0", error.args[0], "22012")
    kept.close()
same("savepoints of the driver", [tuple(row) for row in cursor.execute("SELECT no, b FROM o_line")], [(2, b"\x01")])
connection.commit()
connection.autocommit = True
cursor.execute("UPDATE o_items SET n = 3 WHERE name = 'r'")
# FAILS: SERIALIZABLE.
for level in (*([pyodbc.SQL_TXN_SERIALIZABLE] if ALL else []), pyodbc.SQL_TXN_REPEATABLE_READ, pyodbc.SQL_TXN_READ_COMMITTED):
    connection.set_attr(pyodbc.SQL_ATTR_TXN_ISOLATION, level)
    same("after a level", cursor.execute("SELECT n FROM o_items WHERE name = 'r'").fetchval(), 3)
cursor.execute("DROP VIEW o_view; DROP TABLE o_line; DROP TABLE o_items")
connection.close()
