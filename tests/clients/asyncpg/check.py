"""asyncpg: binary parameters and results of every type, pipelines, nested transactions, cursors, COPY, prepared statements."""
import asyncio
import datetime
import decimal
import io
import sys
import uuid

import asyncpg
from psycopg import conninfo

given = conninfo.conninfo_to_dict(sys.argv[1])


async def main():
    connection = await asyncpg.connect(
        host=given["host"], port=int(given["port"]), user=given["user"], password=given["password"], database=given["dbname"])
    await connection.execute(
        "CREATE TABLE a (id int, n numeric(12,3), t text, at timestamptz, d date, tags text[], u uuid, j jsonb, b bytea,"
        " i interval, f float8, ok bool)")
    row = (
        1, decimal.Decimal("1.500"), "x", datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc), datetime.date(2020, 2, 3),
        ["a", None, "c"], uuid.UUID(int=5), '{"a": 1}', b"\x00\xff", datetime.timedelta(days=1, seconds=5), 1.25, True)
    await connection.execute("INSERT INTO a VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)", *row)
    assert tuple(await connection.fetchrow("SELECT * FROM a WHERE id = $1", 1)) == row
    await connection.executemany("INSERT INTO a (id, t) VALUES ($1, $2)", [(number, str(number)) for number in range(2, 50)])
    assert await connection.fetchval("SELECT count(*) FROM a") == 49
    async with connection.transaction():
        async with connection.transaction():
            await connection.execute("INSERT INTO a (id) VALUES (100)")
        try:
            async with connection.transaction():
                await connection.execute("INSERT INTO a (id) VALUES (101)")
                await connection.execute("SELECT 1 / 0")
        except asyncpg.DivisionByZeroError:
            pass
        assert [record["id"] async for record in connection.cursor("SELECT id FROM a WHERE id > 48 ORDER BY id", prefetch=1)] == [49, 100]
    assert await connection.copy_records_to_table("a", records=[(200, "z")], columns=["id", "t"]) == "COPY 1"
    out = io.BytesIO()
    await connection.copy_from_query("SELECT id, t FROM a WHERE id > 48 ORDER BY id", output=out, format="csv")
    assert out.getvalue() == b"49,49\n100,\n200,z\n", out.getvalue()
    statement = await connection.prepare("SELECT id, n FROM a WHERE id < $1 AND t = ANY ($2)")
    assert [attribute.type.name for attribute in statement.get_attributes()] == ["int4", "numeric"]
    assert [parameter.name for parameter in statement.get_parameters()] == ["int4", "text[]"]
    assert [record["id"] for record in await statement.fetch(10, ["3", "5"])] == [3, 5]
    rows = await connection.fetch("SELECT oid::regclass::text, relkind FROM pg_class WHERE relname = ANY ($1) ORDER BY 1", ["a", "pg_class"])
    assert [tuple(record) for record in rows] == [("a", b"r"), ("pg_class", b"r")], rows
    await connection.execute("CREATE TABLE u (a int, i8 bigint, n numeric(8,2), ia int[])")
    await connection.execute("INSERT INTO u VALUES (1, 1)")
    for sql, arguments, wanted in [
        ("UPDATE u SET a = ($1) RETURNING a", [5], (5,)),
        ("UPDATE u SET a = CASE WHEN a = $1 THEN $2 ELSE a END RETURNING a", [5, 6], (6,)),
        ("UPDATE u SET a = coalesce($1, a) RETURNING a", [7], (7,)),
        ("UPDATE u SET a = $1 WHERE a = $2 RETURNING a + $1, $3::text", [8, 7, "x"], (16, "x")),
        ("UPDATE u SET ia = $1, n = $2 RETURNING ia, n", [[1], decimal.Decimal("1.5")], ([1], decimal.Decimal("1.50"))),
        ("DELETE FROM u WHERE a = $1 RETURNING $1 + i8", [8], (9,)),
    ]:
        assert tuple(await connection.fetchrow(sql, *arguments)) == wanted, sql
    assert await connection.execute("DELETE FROM u") == "DELETE 0"
    # A statement that the driver has prepared is prepared anew when the table has other columns.
    await connection.execute("INSERT INTO u (a) VALUES (1)")
    assert len(await connection.fetchrow("SELECT * FROM u")) == 4
    await connection.execute("ALTER TABLE u ADD COLUMN z text DEFAULT 'z'")
    assert (await connection.fetchrow("SELECT * FROM u"))["z"] == "z"
    # Rows as values, and arrays of several dimensions.
    await connection.execute("CREATE TYPE addr AS (street text, zip int); CREATE TABLE c (a addr, b addr[], m int[][])")
    values = (("Main", 1), [("q", None)], [[1, 2], [3, None]])
    await connection.execute("INSERT INTO c VALUES ($1, $2, $3)", *values)
    row = await connection.fetchrow("SELECT a, b, m, ROW(1, m) FROM c WHERE a = $1 AND m = $2", values[0], values[2])
    assert (tuple(row[0]), [tuple(item) for item in row[1]], row[2], tuple(row[3])) == (*values, (1, values[2])), row
    assert row["a"]["zip"] == 1
    assert await connection.fetchval("SELECT $1::int[]", [[[1]], [[2]]]) == [[[1]], [[2]]]
    await connection.copy_records_to_table("c", records=[values])
    assert await connection.fetchval("SELECT count(*) FROM c WHERE (a).zip = ANY ($1)", [1, 2]) == 2
    await connection.execute("DROP TABLE a; DROP TABLE u; DROP TABLE c; DROP TYPE addr")
    await connection.close()


asyncio.run(main())
