"""asyncpg's own tests: codecs, arrays, cursors, transactions, pools, listeners, cancellation and COPY, over its binary protocol."""
import collections
import importlib.metadata
import os
import pathlib
import subprocess
import sys
import tempfile
import xml.etree.ElementTree

FAILING = pathlib.Path(__file__).parent / "failing.txt"
VERSION = importlib.metadata.version("asyncpg")


def run(folder):
    """Outcomes by test, of a fresh server: what a failing test leaves behind makes others fail."""
    source = pathlib.Path(os.environ["TEST_SUITE_SOURCE"]).resolve()
    report = folder / "report.xml"
    # With PGHOST, the suite uses that server; where it wants servers of its own nonetheless, it shall find nothing to start them with.
    environment = os.environ | {"PGINSTALLATION": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    # -P: the installed asyncpg, not the one beside the tests.
    subprocess.run([sys.executable, "-P", "-m", "pytest", "-c", source / "pyproject.toml", source / "tests", "--timeout=120", "-q",
                    "-p", "no:cacheprovider", "--junit-xml", report, *sys.argv[1:]], cwd=folder, env=environment)
    outcomes = collections.defaultdict(set)
    for case in xml.etree.ElementTree.parse(report).iter("testcase"):
        test = f"{case.get('classname').removeprefix('tests.')}.{case.get('name')}"
        outcomes[test].update(child.tag for child in case if child.tag in ("failure", "error", "skipped"))
    # A test with parts has failed if one of them has.
    return {test: "failed" if tags - {"skipped"} else "skipped" if tags else "passed" for test, tags in outcomes.items()}


def main():
    with tempfile.TemporaryDirectory() as folder:
        outcomes = run(pathlib.Path(folder))
    failed = {test for test, outcome in outcomes.items() if outcome == "failed"}
    lines = FAILING.read_text().splitlines() if FAILING.exists() else []
    listed = dict(line.split("\t") for line in lines)
    if os.environ.get("UPDATE_FAILING") == "1":
        listed = {test: listed.get(test, "?") for test in failed}
        FAILING.write_text("".join(f"{test}\t{reason}\n" for test, reason in sorted(listed.items())))
    wrong = [f"fails, and is not listed: {test}" for test in sorted(failed - listed.keys())]
    wrong += [f"listed, but {outcomes.get(test, 'not there')}: {test}" for test in sorted(listed.keys() - failed)]
    count = collections.Counter(outcomes.values())
    for line in wrong:
        print(line)
    print(f"asyncpg {VERSION}: {count['passed']} passed, {len(failed & listed.keys())} failed as listed, {count['skipped']} skipped by the suite")
    sys.exit(bool(wrong))


main()
