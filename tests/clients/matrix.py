"""The table of clients: which version passed which program, and what it asks in vain. Printed at the end of `tests/run`.

A test that a client has passed leaves a file of the client's name in $TEST_MATRIX. UPDATE_DOCS=1 writes the table into docs/clients.md.
"""
import importlib.metadata
import json
import os
import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
HERE = ROOT / "tests" / "clients"


def python(package):
    return lambda: importlib.metadata.version(package)


def other_python(variable, package):
    """Of a virtual environment of its own."""
    code = f"import importlib.metadata as m; print(m.version('{package}'))"
    return lambda: subprocess.run([os.environ[variable], "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def node(package):
    return lambda: json.loads((pathlib.Path(os.environ["TEST_NODE_CLIENTS"]) / "node_modules" / package / "package.json").read_text())["version"]


def go(module):
    return lambda: re.search(rf"{re.escape(module)} v(\S+)", (HERE / "go" / "go.mod").read_text())[1]


def cargo(crate):
    return lambda: re.search(rf'name = "{crate}"\nversion = "([^"]+)', (HERE / "rust" / "Cargo.lock").read_text())[1]


def maven(artifact):
    return lambda: re.search(rf"<artifactId>{artifact}</artifactId>\s*<version>([^<$]+)", (HERE / "java" / "pom.xml").read_text())[1]


def program(*command):
    return lambda: re.search(r"\d+\.[\d.]+", subprocess.run(command, capture_output=True, text=True, check=True).stdout)[0]


def debian(package):
    return lambda: subprocess.run(["dpkg-query", "-W", "-f", "${Version}", package], capture_output=True, text=True, check=True).stdout


def postgres(name):
    return program(f"{os.environ['TEST_POSTGRES']}/bin/{name}", "--version")


# Name, version, folder or file of the program, which begins with what it does.
CLIENTS = [
    ("psql", program("psql", "--version"), "psql/session.sql"),
    ("psql 18", postgres("psql"), "psql/catalog.sql"),
    ("pg_dump", postgres("pg_dump"), "pg_dump/check.py"),
    ("psycopg", python("psycopg"), "psycopg/check.py"),
    ("psycopg2", python("psycopg2-binary"), "psycopg2/check.py"),
    ("asyncpg", python("asyncpg"), "asyncpg/check.py"),
    ("pg8000", python("pg8000"), "pg8000/check.py"),
    ("adbc", python("adbc-driver-postgresql"), "adbc/check.py"),
    ("sqlalchemy", python("sqlalchemy"), "sqlalchemy/check.py"),
    ("alembic", python("alembic"), "alembic/check.py"),
    ("django", python("django"), "django/check.py"),
    ("dbt", other_python("TEST_DBT_PYTHON", "dbt-postgres"), "dbt/check.py"),
    ("superset", other_python("TEST_SUPERSET_PYTHON", "apache-superset"), "superset/check.py"),
    ("pgcli", python("pgcli"), "pgcli/check.py"),
    ("odbc", debian("odbc-postgresql"), "odbc/check.py"),
    ("jdbc", maven("postgresql"), "java/Jdbc.java"),
    ("hikari", maven("HikariCP"), "java/Pool.java"),
    ("hibernate", maven("hibernate-core"), "java/Orm.java"),
    ("pg", node("pg"), "node/pg.mjs"),
    ("postgres", node("postgres"), "node/postgres.mjs"),
    ("drizzle", node("drizzle-orm"), "node/drizzle.mjs"),
    ("typeorm", node("typeorm"), "node/typeorm.mjs"),
    ("knex", node("knex"), "node/knex.mjs"),
    ("sequelize", node("sequelize"), "node/sequelize.mjs"),
    ("prisma", node("prisma"), "node/prisma.mjs"),
    ("tokio_postgres", cargo("tokio-postgres"), "rust/src/bin/tokio_postgres.rs"),
    ("sqlx", cargo("sqlx"), "rust/src/bin/sqlx.rs"),
    ("pgx", go("github.com/jackc/pgx/v5"), "go/pgx/main.go"),
    ("pq", go("github.com/lib/pq"), "go/pq/main.go"),
    ("gorm", go("gorm.io/gorm"), "go/gorm/main.go"),
    ("postgres_fdw", postgres("postgres"), "postgres_fdw/check.py"),
]


def begins(text):
    """The first comment of a program."""
    if quoted := re.match(r'"""(.*?)"""', text, re.S):
        return quoted[1].split("\n\n")[0]
    lines = []
    for line in text.splitlines():
        if not (said := re.match(r"(?://!?|--)\s?(.*)", line)):
            break
        lines.append(said[1])
    return " ".join(lines)


def row(name, version, file):
    text = (HERE / file).read_text()
    client, _, what = begins(text).partition(":")
    fails = [said.strip().rstrip("*/").strip().rstrip(".") for said in re.findall(r"FAILS: ([^\n]*)", text)]
    cell = lambda words: " ".join(words.split()).replace("|", "\\|")
    return f"| {cell(client)} | {version()} | {cell(what).rstrip('.')} | {cell('; '.join(dict.fromkeys(fails)))} |"


def main():
    passed = {path.name for path in pathlib.Path(os.environ["TEST_MATRIX"]).iterdir()}
    missing = [name for name, *_ in CLIENTS if name not in passed]
    # TPC-H is no client: its queries come by psycopg.
    unknown = passed - {name for name, *_ in CLIENTS} - {"tpch"}
    assert not missing and not unknown, f"without a result: {missing}; without a row: {sorted(unknown)}"
    table = "\n".join(["| client | version | passes | asks in vain |", "|---|---|---|---|", *(row(*client) for client in CLIENTS)])
    print(table)
    if os.environ.get("UPDATE_DOCS"):
        page = ROOT / "docs" / "clients.md"
        before, _, rest = page.read_text().partition("<!-- begin of the table -->")
        _, _, after = rest.partition("<!-- end of the table -->")
        page.write_text(f"{before}<!-- begin of the table -->\n{table}\n<!-- end of the table -->{after}")


main()
