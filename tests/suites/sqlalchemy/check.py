"""SQLAlchemy's dialect suite: what every dialect has to pass, and its own tests of the postgresql dialect, over psycopg."""
import collections
import importlib.metadata
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import urllib.parse
import xml.etree.ElementTree

import psycopg
import pytest

HERE = pathlib.Path(__file__).parent
FAILING = HERE / "failing.txt"
VERSION = importlib.metadata.version("sqlalchemy")
SUITES = ["test/dialect/test_suite.py", "test/dialect/postgresql"]


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart():
    """This file is a plugin of pytest, too: the suite creates extensions before its first test, and stops where there are none.

    The tests that need them ask whether they are there, and are skipped if not."""
    # Not above: the suite's own plugin wants to be the first to import this.
    from sqlalchemy import exc
    from sqlalchemy.dialects.postgresql.provision import post_configure_engine

    create = post_configure_engine.fns["postgresql"]

    @post_configure_engine.for_db("postgresql")
    def create_if_there_are_any(url, engine, follower):
        try:
            create(url, engine, follower)
        except exc.NotSupportedError as error:
            print(error.orig)


def url():
    """Tests that connect to several hosts take them from here, not from libpq's variables."""
    user, password, host, port, database = (urllib.parse.quote(os.environ[name], safe="")
                                            for name in ["PGUSER", "PGPASSWORD", "PGHOST", "PGPORT", "PGDATABASE"])
    return f"postgresql+psycopg://{user}:{password}@{host}:{port}/{database}"


def run():
    """Each test's outcome and the first line of its error."""
    with psycopg.connect(autocommit=True) as connection:
        for schema in ["test_schema", "test_schema_2"]:
            connection.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
    with tempfile.TemporaryDirectory() as directory:
        report = pathlib.Path(directory) / "report.xml"
        # -s: test the SQLAlchemy that is installed, not the one beside the tests. --dropfirst: a former run may have left tables.
        # PYTHONHASHSEED: a test takes any isolation level of a set.
        subprocess.run([sys.executable, "-s", "-m", "pytest", *SUITES, "--dburi", url(), "--dropfirst", "--junit-xml", report, "--maxfail", "0",
                        "--timeout", "300", "--tb", "no", "-rN", "-qq", "-p", "check", "-p", "no:cacheprovider"],
                       cwd=os.environ["TEST_SUITE_SOURCE"],
                       env=os.environ | {"PYTHONPATH": str(HERE), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0"})
        cases = list(xml.etree.ElementTree.parse(report).iter("testcase"))
    outcomes = {}
    for case in cases:
        # Names of classes end with the driver and the server's version.
        suite = re.sub(r"_postgresql\+psycopg(_\d+)+$", "", case.get("classname").removeprefix("test.dialect."))
        test = f"{suite}.{case.get('name')}"
        errors = [child.get("message", "").split("\n")[0] for child in case if child.tag in {"failure", "error"}]
        # One that fails may have another entry, as what it left behind makes trouble.
        if errors and outcomes.get(test, ("", ""))[0] != "failed":
            outcomes[test] = "failed", errors[0]
        elif test not in outcomes:
            outcomes[test] = "skipped" if case.find("skipped") is not None else "passed", None
    return outcomes


def names(test):
    """How failing.txt may name a test: alone, with all parameters, with all of its class."""
    function = test.split("[")[0]
    return test, f"{function}[*]", f"{function.rpartition('.')[0]}.*"


def write(reasons, ran):
    """One line for all tests of a class, or all parameters of a test, that fail for one reason."""
    members = collections.defaultdict(list)
    for test in ran:
        for name in names(test)[1:]:
            members[name].append(test)
    lines = set()
    for test, reason in reasons.items():
        alone, *larger = names(test)
        name = next((name for name in reversed(larger) if len(members[name]) > 1 and all(reasons.get(other) == reason for other in members[name])), alone)
        lines.add(f"{name}\t{reason}\n")
    FAILING.write_text("".join(sorted(lines)))


def main():
    outcomes = run()
    listed = dict(line.split("\t") for line in FAILING.read_text().splitlines())
    line = {test: next((name for name in names(test) if name in listed), None) for test in outcomes}
    ran = [test for test, (outcome, _) in outcomes.items() if outcome != "skipped"]
    failed = [test for test in ran if outcomes[test][0] == "failed"]
    if os.environ.get("UPDATE_FAILING") == "1":
        write({test: listed.get(line[test], "?") for test in failed}, ran)
        print(f"{len(failed)} are listed, {sum(not line[test] for test in failed)} of them are new")
        return 0
    new = [test for test in failed if not line[test]]
    passed = [test for test in ran if line[test] and outcomes[test][0] == "passed"]
    unused = sorted(listed.keys() - {line[test] for test in ran})
    for test in new:
        print(f"fails: {test}: {outcomes[test][1]}")
    for test in passed:
        print(f"passes, but is listed: {test}")
    for name in unused:
        print(f"did not run, but is listed: {name}")
    print(f"sqlalchemy {VERSION}: {len(ran) - len(failed)} passed, {len(failed) - len(new)} failed as listed, "
          f"{len(outcomes) - len(ran)} skipped by the suite" + (f", {len(new)} failed and are not listed" if new else ""))
    return int(bool(new or passed or unused))


if __name__ == "__main__":
    sys.exit(main())
