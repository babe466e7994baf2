"""psycopg 3 against a running server: parameters, binary results, COPY, transactions, errors."""
import datetime
import decimal
import sys
import uuid

import psycopg
from psycopg.types.composite import CompositeInfo, register_composite

with psycopg.connect(sys.argv[1], autocommit=False) as connection:
    cursor = connection.cursor()
    cursor.execute("CREATE TABLE p (id int, n numeric(8,2), d date, u uuid, t text, a int[], b bytea, f float8, at timestamptz)")
    at = datetime.datetime(2024, 1, 2, 3, 4, 5, 678000, tzinfo=datetime.timezone.utc)
    row = (1, decimal.Decimal("12.50"), datetime.date(2024, 1, 2), uuid.UUID(int=7), "é", [1, None, 3], b"\x00\xff", 1.5, at)
    cursor.execute("INSERT INTO p VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)", row)
    for binary in (False, True):
        read = connection.cursor(binary=binary).execute("SELECT * FROM p").fetchone()
        assert read == row, (binary, read)
    connection.rollback()
    try:
        cursor.execute("SELECT * FROM p")
        raise AssertionError("the table survived the rollback")
    except psycopg.errors.UndefinedTable:
        connection.rollback()
    cursor.execute("CREATE TABLE q (k int, v text)")
    with cursor.copy("COPY q FROM STDIN") as copy:
        for number in range(5000):
            copy.write_row((number, None if number % 7 == 0 else f"v{number}"))
    with cursor.copy("COPY q (k, v) FROM STDIN (FORMAT binary)") as copy:
        copy.set_types(["int4", "text"])
        copy.write_row((9999, "last"))
    connection.commit()
    assert cursor.execute("SELECT count(*), count(v), max(k) FROM q").fetchone() == (5001, 4286, 9999)
    with cursor.copy("COPY (SELECT k, v FROM q WHERE k < 3 ORDER BY k) TO STDOUT") as copy:
        assert list(copy.rows()) == [("0", None), ("1", "v1"), ("2", "v2")]
    for number in range(10):  # prepared by the driver after five runs
        assert cursor.execute("SELECT v FROM q WHERE k = %s", (number + 1,)).fetchone()[0] == (None if number == 6 else f"v{number + 1}")
    cursor.execute("CREATE TABLE u (a int, n numeric(8,2))")
    cursor.execute("INSERT INTO u VALUES (%s, %s)", (decimal.Decimal("2.5"), 1))
    for value, wanted in [(decimal.Decimal("2.7"), 3), (2.7, 3), (3.5, 4), (decimal.Decimal("-0.6"), -1), (5, 5)]:
        assert cursor.execute("UPDATE u SET a = %s RETURNING a", (value,)).fetchone() == (wanted,), value
    assert cursor.execute("UPDATE u SET a = a + %s", (decimal.Decimal("2.7"),)).rowcount == 1
    assert cursor.execute("SELECT a, %s::int FROM u WHERE a = %s", (decimal.Decimal("0.5"), 8)).fetchone() == (8, 1)
    assert cursor.execute("DELETE FROM u WHERE a = %s", (8,)).rowcount == 1
    connection.commit()
    # Rows as values, and arrays of several dimensions.
    cursor.execute("CREATE TYPE addr AS (street text, zip int)")
    cursor.execute("CREATE TABLE c (id int, a addr, b addr[], m int[][])")
    connection.commit()
    info = CompositeInfo.fetch(connection, "addr")
    assert (list(info.field_names), list(info.field_types)) == (["street", "zip"], [25, 23]), info.field_types
    register_composite(info, connection)
    addr = info.python_type
    for binary in (False, True):
        cursor = connection.cursor(binary=binary)
        given = (addr("Main, st", 1), [addr('"q"', None)], [[1, 2], [3, None]])
        cursor.execute("INSERT INTO c VALUES (1, %s, %s, %s)", given)
        assert cursor.execute("SELECT a, b, m, (a).zip FROM c").fetchall() == [(*given, 1)]
        assert cursor.execute("SELECT id FROM c WHERE a = %s", (addr("Main, st", 1),)).fetchall() == [(1,)]
        assert cursor.execute("SELECT %s::int[]", ([[[1], [2]]],)).fetchone() == ([[[1], [2]]],)
        assert cursor.execute("DELETE FROM c RETURNING ROW(id, 'x'), a").fetchone() == ((1 if binary else "1", "x"), given[0])
    with cursor.copy("COPY c FROM STDIN (FORMAT binary)") as copy:
        copy.set_types(["int4", "addr", "addr[]", "int4[]"])
        copy.write_row((2, *given))
    assert cursor.execute("SELECT a, b, m FROM c").fetchall() == [given]
    connection.commit()
    with connection.pipeline():
        first = connection.execute("SELECT 1")
        second = connection.execute("SELECT %s::int + 1", (2,))
        assert (first.fetchone(), second.fetchone()) == ((1,), (3,))
    connection.commit()
    try:
        connection.execute("SELECT 1/0")
        raise AssertionError("no error")
    except psycopg.errors.DivisionByZero:
        connection.rollback()
with psycopg.connect(sys.argv[1], autocommit=True) as listener, psycopg.connect(sys.argv[1], autocommit=True) as other:
    listener.execute("LISTEN news")
    other.execute("NOTIFY news, 'x'")
    told = next(listener.notifies(timeout=10))
    assert (told.channel, told.payload, told.pid) == ("news", "x", other.info.backend_pid), told
print("psycopg: ok")
