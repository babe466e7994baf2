"""pg_dump 18: schema and data of the server into a real PostgreSQL (ORACLE_HOST, …) and back again, in plain, INSERT and directory form.

Needs TEST_POSTGRES and psycopg 3.
"""
import difflib
import os
import pathlib
import re
import subprocess
import tempfile

import psycopg

BIN = pathlib.Path(os.environ["TEST_POSTGRES"]) / "bin"
SERVER = {name: os.environ[f"PG{name}"] for name in ["HOST", "PORT", "USER", "PASSWORD", "DATABASE"]}
ORACLE = {name: os.environ[f"ORACLE_{name}"] for name in SERVER}
SCHEMA = (pathlib.Path(__file__).parent / "schema.sql").read_text()
# What is compared after each way: rows, and what the catalogs say of them.
QUERIES = [
    "SELECT * FROM shop.customer ORDER BY id",
    "SELECT * FROM shop.item ORDER BY id",
    "SELECT * FROM shop.totals ORDER BY name",
    "SELECT * FROM shop.kinds ORDER BY n NULLS LAST",
    """SELECT table_name, column_name, data_type, character_maximum_length, numeric_precision, datetime_precision, column_default, is_nullable, is_identity,
         identity_generation, is_generated FROM information_schema.columns WHERE table_schema = 'shop' ORDER BY table_name, ordinal_position""",
    """SELECT conrelid::regclass::text, conname, contype FROM pg_constraint WHERE connamespace = 'shop'::regnamespace AND contype <> 'n' ORDER BY 1, 2""",
    "SELECT indexname FROM pg_indexes WHERE schemaname = 'shop' ORDER BY 1",
    "SELECT grantee, table_name, privilege_type FROM information_schema.role_table_grants WHERE grantee = 'pgd_reader' ORDER BY 2, 3",
    "SELECT grantee, table_name, column_name, privilege_type FROM information_schema.column_privileges WHERE grantee = 'pgd_reader' ORDER BY 2, 3, 4",
    "SELECT tablename, policyname, roles, cmd FROM pg_policies WHERE schemaname = 'shop'",
    "SELECT obj_description('shop.customer'::regclass), col_description('shop.customer'::regclass, 3)",
    "SELECT nextval('shop.counter'), nextval('shop.item_id_seq')",
]


def environment(target):
    return {**os.environ, **{f"PG{name}": value for name, value in target.items()}}


def run(target, program, *arguments, given=None):
    done = subprocess.run([BIN / program, *arguments], env=environment(target), input=given, capture_output=True, text=True)
    # Foreign keys are recorded, and that they are no more is said.
    said = re.sub(r"WARNING:  foreign key constraint .* is recorded but not enforced\nHINT: .*\n", "", done.stderr)
    assert done.returncode == 0 and not said, (program, arguments, said)
    return done.stdout


def connect(target):
    names = {"HOST": "host", "PORT": "port", "USER": "user", "PASSWORD": "password", "DATABASE": "dbname"}
    return psycopg.connect(**{names[name]: value for name, value in target.items()}, autocommit=True)


def dump(target, *arguments):
    """Without what is another one each time, or of the server's version."""
    text = run(target, "pg_dump", "--schema=shop", *arguments)
    return "\n".join(line for line in text.splitlines() if not re.match(r"--|\\(un)?restrict|SET |$", line))


def restore(target, text):
    with connect(target) as connection:
        connection.execute("DROP SCHEMA IF EXISTS shop CASCADE")
    run(target, "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-o", os.devnull, given=text)


def content(target):
    with connect(target) as connection:
        # As text: NaN is not equal to itself.
        return [repr(connection.execute(query).fetchall()) for query in QUERIES]


def same(what, got, wanted):
    for number, (one, other) in enumerate(zip(got, wanted, strict=True)):
        assert one == other, f"{what}: {QUERIES[number]}\n  {one}\n  {other}"


def unchanged(before, after):
    assert before == after, "\n".join(difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=0))


for target in [SERVER, ORACLE]:
    with connect(target) as connection:
        connection.execute("DROP SCHEMA IF EXISTS shop CASCADE; DROP ROLE IF EXISTS pgd_reader; CREATE ROLE pgd_reader")
    restore(target, SCHEMA)
# Before sequences go on.
first, plain = run(SERVER, "pg_dump", "--schema=shop"), dump(SERVER)
wanted = content(ORACLE)
same("as it was made", content(SERVER), wanted)

# Into PostgreSQL, as COPY and as INSERT.
for arguments in [[], ["--inserts"], ["--column-inserts", "--rows-per-insert=2"]]:
    restore(ORACLE, run(SERVER, "pg_dump", "--schema=shop", *arguments))
    restored = content(ORACLE)
    same(f"in PostgreSQL with {arguments}", restored[:-1], wanted[:-1])

# Back again, and what comes out is the same.
restore(SERVER, run(ORACLE, "pg_dump", "--schema=shop"))
same("back from PostgreSQL", content(SERVER)[:-1], wanted[:-1])
restore(SERVER, first)
unchanged(plain, dump(SERVER))

# The other formats, by pg_restore.
with tempfile.TemporaryDirectory() as folder:
    run(SERVER, "pg_dump", "--schema=shop", "--format=directory", f"--file={folder}/dump")
    with connect(SERVER) as connection:
        connection.execute("DROP SCHEMA shop CASCADE")
    run(SERVER, "pg_restore", "--dbname", SERVER["DATABASE"], "--exit-on-error", f"{folder}/dump")
unchanged(plain, dump(SERVER))

for target in [SERVER, ORACLE]:
    with connect(target) as connection:
        connection.execute("DROP SCHEMA shop CASCADE; DROP ROLE pgd_reader")
