"""Django's own tests: its ORM, migrations and introspection over psycopg 3, app by app.

A server has one database, and Django wants two: OTHER_PGPORT is the port of a second server. TEST_SUITE_SOURCE is the unpacked source of
the Django that is installed. Arguments are apps, if not all; logs go to TEST_LOGS if it is there.
"""
import collections
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import django
import psycopg

APPS = """introspection basic queries transactions inspectdb schema migrations backends aggregation annotations expressions lookup ordering
select_for_update db_functions bulk_create get_or_create update delete datatypes model_fields expressions_window many_to_many m2m_through
postgres_tests""".split()
HERE = pathlib.Path(__file__).resolve().parent
LISTED = HERE / "failing.txt"


def app_of(test):
    # What fails in setUpClass is called `setUpClass (app.tests.Class)`, and an app that cannot begin by its name.
    return test.split("(")[-1].split(".")[0]


def run(app, folder):
    """What became of each test: {id: (state, text)}. One with several results has failed if one of them has."""
    for port in os.environ["PGPORT"], os.environ["OTHER_PGPORT"]:
        # The databases are kept from app to app, so what the last one left goes here.
        with psycopg.connect(port=port, autocommit=True) as connection:
            connection.execute("DROP SCHEMA public CASCADE")
            connection.execute("CREATE SCHEMA public")
    results = folder / f"{app}.jsonl"
    results.unlink(missing_ok=True)
    command = [sys.executable, "runtests.py", "--settings=settings", "--keepdb", "--noinput", "--parallel=1", app]
    environment = {**os.environ, "PYTHONPATH": str(HERE), "TEST_RESULTS": str(results)}
    log = folder / f"{app}.log"
    with open(log, "w") as file:
        subprocess.run(command, cwd=pathlib.Path(os.environ["TEST_SUITE_SOURCE"]) / "tests", env=environment, stdout=file, stderr=file)
    found = {}
    if "\nRan " not in log.read_text():
        found[app] = "failed", log.read_text()
    for line in results.read_text().splitlines() if results.exists() else []:
        state, test, text = json.loads(line)
        if found.get(test, ("",))[0] != "failed":
            found[test] = state, text
    return found


apps = sys.argv[1:] or APPS
listed = dict(line.split("\t") for line in LISTED.read_text().splitlines()) if LISTED.exists() else {}
found = {}
with tempfile.TemporaryDirectory() as temporary:
    for app in apps:
        found |= run(app, pathlib.Path(os.environ.get("TEST_LOGS", temporary)))
failed = {test for test, (state, _) in found.items() if state == "failed"}
if os.environ.get("UPDATE_FAILING") == "1":
    others = {test: reason for test, reason in listed.items() if app_of(test) not in apps}
    listed = others | {test: listed.get(test, "?") for test in failed}
    LISTED.write_text("".join(f"{test}\t{reason}\n" for test, reason in sorted(listed.items())))
new = sorted(failed - set(listed))
gone = sorted(test for test in listed if found.get(test, ("",))[0] == "passed")
for test in new:
    print(f"fails, and is not listed: {test}\n{found[test][1]}")
for test in gone:
    print(f"passes, and is listed: {test}")
states = collections.Counter(state for state, _ in found.values())
print(f"django {django.__version__}: {states['passed']} passed, {len(failed) - len(new)} failed as listed, {states['skipped']} skipped by the suite")
sys.exit(bool(new or gone))
