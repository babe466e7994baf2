"""Sets up test suites of others and runs each against servers of its own."""
import contextlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile

HERE = pathlib.Path(__file__).parent
SUITES = ["asyncpg", "django", "sqlalchemy"]
PASSWORD = "correct horse"


def set_up(suite, cache):
    """A virtual environment of what requirements.txt says, and the source of the package, which has the tests."""
    folder, requirements = cache / f"suites-{suite}", HERE / suite / "requirements.txt"
    python, installed = folder / "bin" / "python", folder / "requirements.txt"
    package, version = re.search(rf"^({suite})==(\S+)$", requirements.read_text(), re.M | re.I).groups()
    source = folder / f"{suite}-{version}"
    if not installed.exists() or installed.read_text() != requirements.read_text():
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        pip = [python, "-m", "pip", "--quiet"]
        subprocess.run([*pip, "install", "--requirement", requirements], check=True)
        subprocess.run([*pip, "download", "--no-deps", "--no-binary", package, "--dest", folder, f"{package}=={version}"], check=True)
        with tarfile.open(f"{source}.tar.gz") as archive:
            archive.extractall(folder, filter="data")
        shutil.copy(requirements, installed)
    return python, source


@contextlib.contextmanager
def server(binary):
    with tempfile.TemporaryDirectory() as folder:
        command = [binary, "serve", "--data-dir", folder, "--listen", "127.0.0.1:0"]
        with open(pathlib.Path(folder, "log"), "w") as log:
            process = subprocess.Popen(command, env=os.environ | {"BOATHOUSE_PASSWORD": PASSWORD}, stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            said = next(line for line in process.stdout if line.startswith("listening on"))
            yield re.search(r":(\d+)", said)[1]
        finally:
            process.terminate()
            process.wait()


def main():
    binary, cache, *wanted = sys.argv[1:]
    failed = []
    for suite in wanted or SUITES:
        python, source = set_up(suite, pathlib.Path(cache))
        # Django's wants two databases, and a server has one.
        with server(binary) as port, server(binary) as other:
            given = {"PGHOST": "127.0.0.1", "PGPORT": port, "OTHER_PGPORT": other, "PGUSER": "boathouse", "PGPASSWORD": PASSWORD, "PGDATABASE": "boathouse"}
            done = subprocess.run([python, HERE / suite / "check.py"], env=os.environ | given | {"TEST_SUITE_SOURCE": str(source)})
        if done.returncode:
            failed.append(suite)
    if failed:
        sys.exit(f"not as listed: {', '.join(failed)}")


main()
