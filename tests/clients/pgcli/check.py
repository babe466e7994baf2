"""pgcli: its catalog queries for completion and its special commands, as its own code asks them, and the program itself."""
import os
import subprocess
import sys

from pgcli.pgexecute import PGExecute
from pgspecial.main import PGSpecial



def same(what, got, wanted):
    assert got == wanted, f"{what}\nwanted {wanted!r}\n   got {got!r}"


execute = PGExecute(os.environ["PGDATABASE"], os.environ["PGUSER"], os.environ["PGPASSWORD"], os.environ["PGHOST"], os.environ["PGPORT"], None)


def run(statement):
    results = list(execute.run(statement, PGSpecial()))
    for title, rows, headers, status, _, success, _ in results:
        assert success, f"{statement}: {status}"
    return [(list(rows) if rows else [], headers, status) for _, rows, headers, status, *_ in results]


run("DROP SCHEMA IF EXISTS pgcli_check CASCADE; CREATE SCHEMA pgcli_check")
run("CREATE TABLE pgcli_check.a (id int PRIMARY KEY, t text, n int DEFAULT 7)")
run("CREATE TABLE pgcli_check.b (a int REFERENCES pgcli_check.a (id), n numeric(8,2))")
run("CREATE VIEW pgcli_check.v AS SELECT id FROM pgcli_check.a")
run("CREATE TYPE pgcli_check.mood AS ENUM ('x')")
here = "pgcli_check"
# What the refresher asks.
assert {"public", here} <= set(execute.schemata())
assert "public" in execute.search_path()
same("tables", sorted(row for row in execute.tables() if row[0] == here), [(here, "a"), (here, "b")])
same("views", [tuple(row) for row in execute.views() if row[0] == here], [(here, "v")])
same("table columns", [tuple(row) for row in execute.table_columns() if row[0] == here], [
    (here, "a", "id", "integer", False, None), (here, "a", "t", "text", False, None), (here, "a", "n", "integer", True, "7"), (here, "b", "a", "integer", False, None), (here, "b", "n", "numeric", False, None)])
same("view columns", [tuple(row)[:4] for row in execute.view_columns() if row[0] == here], [(here, "v", "id", "integer")])
same("foreign keys", [tuple(key) for key in execute.foreignkeys() if key.parentschema == here], [(here, "a", "id", here, "b", "a")])
same("types", [tuple(row) for row in execute.datatypes() if row[0] == here and row[1] == "mood"], [(here, "mood")])
assert os.environ["PGDATABASE"] in execute.databases() and execute.full_databases()
list(execute.functions())
list(execute.casing())
assert execute.view_definition("pgcli_check.v").upper().count("SELECT")
# Statements and backslash commands.
same("SELECT", [tuple(row) for row in run("INSERT INTO pgcli_check.a VALUES (1), (2); SELECT id, n FROM pgcli_check.a ORDER BY id")[1][0]], [(1, 7), (2, 7)])
for command in (r"\d", r"\d pgcli_check.a", r"\d+ pgcli_check.b", r"\dt pgcli_check.*", r"\dv pgcli_check.*", r"\di pgcli_check.*", r"\dn", r"\du", r"\l", r"\dT pgcli_check.*", r"\df",
                r"\ds", r"\dx", r"\dp", r"\db", r"\ddp", r"\dD", r"\dE", r"\dm", r"\dF"):
    run(command)
assert "id" in str(run(r"\d pgcli_check.a"))
# The program.
arguments = [os.path.join(os.path.dirname(sys.executable), "pgcli"), "--less-chatty", "-c", "SELECT 40 + 2 AS answer"]
done = subprocess.run(arguments, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60)
assert done.returncode == 0 and "| 42" in done.stdout, (done.returncode, done.stdout, done.stderr)
run("DROP SCHEMA pgcli_check CASCADE")
