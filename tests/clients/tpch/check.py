"""TPC-H: the 22 queries over lake files and over warehouse tables loaded by COPY, against DuckDB's answers.

Arguments: connection string, folder the server may read, scale factor.
"""
import decimal
import glob
import os
import subprocess
import sys

import duckdb
import psycopg

dsn, folder, scale = sys.argv[1:]
tables = "lineitem orders customer part partsupp supplier nation region".split()
generator = os.path.join(os.path.dirname(sys.executable), "tpchgen-cli")
for form in (["parquet", "--parts=1"], ["csv"]):
    subprocess.run([generator, form[0], "-s", scale, *form[1:], f"--output-dir={folder}/{form[0]}"], check=True, capture_output=True)

site = os.path.dirname(os.path.dirname(duckdb.__file__))
oracle = duckdb.connect(config={"allow_unsigned_extensions": "true"})
extension = glob.glob(f"{site}/duckdb_extension_tpch/extensions/*/tpch.duckdb_extension")[0]
oracle.execute(f"LOAD '{extension}'")
for table in tables:
    oracle.execute(f"CREATE VIEW {table} AS SELECT * FROM '{folder}/parquet/{table}/*.parquet'")


def normal(rows):
    def value(v):
        if isinstance(v, (int, float, decimal.Decimal)):
            return float(v)
        return v.isoformat() if hasattr(v, "isoformat") else v

    return sorted((tuple(value(v) for v in row) for row in rows), key=lambda row: str([round(v, 1) if isinstance(v, float) else v for v in row]))


def same(ours, theirs):
    def equal(a, b):
        return abs(a - b) <= max(0.01, abs(b) * 1e-9) if isinstance(a, float) and isinstance(b, float) else a == b

    return len(ours) == len(theirs) and all(len(a) == len(b) and all(map(equal, a, b)) for a, b in zip(ours, theirs))


types = {"BIGINT": "bigint", "INTEGER": "int", "VARCHAR": "text", "DATE": "date"}
with psycopg.connect(dsn, autocommit=True) as connection:
    connection.execute("CREATE SCHEMA lake")
    connection.execute("CREATE SCHEMA warehouse")
    for table in tables:
        connection.execute(f"CREATE EXTERNAL TABLE lake.{table} STORED AS PARQUET LOCATION 'file://{folder}/parquet/{table}/'")
        columns = [(row[0], types.get(row[1], row[1].replace("DECIMAL", "numeric"))) for row in oracle.execute(f"DESCRIBE {table}").fetchall()]
        connection.execute(f"CREATE TABLE warehouse.{table} ({', '.join(f'{name} {pg} NOT NULL' for name, pg in columns)})")
        with connection.cursor().copy(f"COPY warehouse.{table} FROM STDIN (FORMAT csv, HEADER)") as copy, open(f"{folder}/csv/{table}.csv", "rb") as data:
            while chunk := data.read(1 << 20):
                copy.write(chunk)
    failed = []
    for number, query in oracle.execute("SELECT query_nr, query FROM tpch_queries()").fetchall():
        wanted = normal(oracle.execute(query).fetchall())
        for schema in ("lake", "warehouse"):
            connection.execute(f"SET search_path = {schema}")
            if not same(normal(connection.execute(query.strip().rstrip(";")).fetchall()), wanted):
                failed.append(f"query {number} over {schema}")
    assert not failed, failed
print("tpch: ok")
