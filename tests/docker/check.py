"""What `docker/` says: linted, and started without containers, with folders, ports and names of this machine in the place of theirs.

Takes the path of the server's program; TEST_POSTGRES and TEST_VERSITYGW tell where the others are.
"""

import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import time

import psycopg
import yaml
from dockerfile_parse import DockerfileParser

ROOT = pathlib.Path(__file__).resolve().parents[2]
DOCKER = ROOT / "docker"
SERVER = pathlib.Path(sys.argv[1])
PASSWORD = "first password"
# Nobody else's, as in the images.
UNPRIVILEGED = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.getuid() == 0 else []


def tool(name):
    return pathlib.Path(sys.executable).with_name(name)


def lint():
    for file in [DOCKER / "Dockerfile", DOCKER / "superset" / "Dockerfile"]:
        subprocess.run([tool("hadolint"), file], check=True)
    subprocess.run([tool("shellcheck"), DOCKER / "superset" / "start"], check=True)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def instructions(file):
    """The instructions of a Dockerfile's last stage."""
    found = DockerfileParser(fileobj=file.open("rb")).structure
    begins = max(index for index, step in enumerate(found) if step["instruction"] == "FROM")
    return [(step["instruction"], step["value"]) for step in found[begins:]]


def what_is_copied():
    """All that the build needs is copied, and not ignored."""
    steps = DockerfileParser(fileobj=(DOCKER / "Dockerfile").open("rb")).structure
    words = [step["value"].split() for step in steps if step["instruction"] == "COPY"]
    copied = {source for sources in words if not sources[0].startswith("--") for source in sources[:-1]}
    allowed = {line[1:] for line in (DOCKER / "Dockerfile.dockerignore").read_text().splitlines() if line.startswith("!")}
    assert copied == allowed, (copied, allowed)
    for source in copied:
        assert (ROOT / source).exists(), source
    for file in (file for file in (ROOT / "src").rglob("*.rs") if file.name != "tests.rs"):
        for included in re.findall(r'include_(?:str|bytes)!\("([^"]+)"\)', file.read_text()):
            top = (file.parent / included).resolve().relative_to(ROOT).parts[0]
            assert top in copied, f"{file} includes {included}, which is not copied"


def compose(*names):
    """Compose files, one over the other, with what the environment is to give."""
    given = {"BOATHOUSE_PASSWORD": PASSWORD, "SUPERSET_PASSWORD": "p", "SUPERSET_SECRET_KEY": "k"}
    merged = {}
    for name in names:
        text = (DOCKER / name).read_text()
        text = re.sub(r"(?<!\$)\$\{(\w+)(?::\?[^}]*)?\}", lambda found: given[found[1]], text).replace("$$", "$")
        for key, value in yaml.safe_load(text).items():
            merged[key] = {**merged.get(key, {}), **(value or {})} if isinstance(value, dict) else value
    services = merged["services"]
    for name, service in services.items():
        assert ("image" in service) and set(service.get("depends_on", {})) <= set(services), name
        assert set(service.get("secrets", [])) <= set(merged.get("secrets", {})), name
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert source in merged["volumes"] or (DOCKER / source).is_file(), volume
        build = service.get("build")
        if isinstance(build, dict):
            assert (DOCKER / build["context"] / build["dockerfile"]).is_file(), name
        elif build:
            assert (DOCKER / build / "Dockerfile").is_file(), name
        for condition in service.get("depends_on", {}).values():
            assert condition["condition"] in ("service_healthy", "service_started"), name
    return services


class Machine:
    """Where containers' folders, names and ports are."""

    def __init__(self, folder):
        self.folder, self.names, self.running = folder, {}, []

    def place(self, path):
        """A folder or file of this machine in the place of a container's."""
        own = self.folder / path.strip("/").replace("/", "_")
        self.names[path] = str(own)
        return own

    def text(self, text):
        for name in sorted(self.names, key=len, reverse=True):
            text = text.replace(name, self.names[name])
        return text

    def start(self, command, environment, user=UNPRIVILEGED):
        environment = {"PATH": os.environ["PATH"], **{name: self.text(value) for name, value in environment.items()}}
        command = [*user, *(self.text(word) for word in command)]
        log = (self.folder / f"log{len(self.running)}").open("w+b")
        self.running.append((subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True), log))

    def stop(self):
        for process, log in self.running:
            process.terminate()
        for process, log in self.running:
            process.wait(60)
            log.seek(0)
            print(process.args, log.read().decode()[-3000:], sep="\n", file=sys.stderr)


def server(machine, service, config=None):
    """Starts a service of the server's image as its Dockerfile says, waits until it is healthy, and connects."""
    steps = instructions(DOCKER / "Dockerfile")
    said = {name: value for name, value in steps}
    environment = {}
    for name, value in steps:
        if name == "ENV":
            environment.update(pair.split("=", 1) for pair in value.split())
    data, port = "/var/lib/boathouse", free_port()
    assert said["USER"].isdigit() and said["USER"] != "0" and said["EXPOSE"] == "5432" and said["VOLUME"] == data
    places = dict(machine.names)
    machine.place(f"{data}/{port}")
    machine.names[data] = machine.names.pop(f"{data}/{port}")
    pathlib.Path(machine.names[data]).mkdir(mode=0o777)
    if UNPRIVILEGED:
        os.chown(machine.names[data], 65534, 65534)
    machine.names["0.0.0.0:5432"] = f"127.0.0.1:{port}"
    if config:
        inside = next(volume.split(":")[1] for volume in service["volumes"] if volume.startswith(f"./{config}:"))
        file = machine.place(f"{inside}.{port}")
        file.write_text(machine.text((DOCKER / config).read_text()))
        machine.names[inside] = str(file)
    entry = json.loads(said["ENTRYPOINT"])
    assert entry == ["boathouse"]
    command = service.get("command") or json.loads(said["CMD"])
    machine.start([str(SERVER), *command], {**environment, **service["environment"]})
    machine.names = places
    check = json.loads(re.search(r"CMD (\[.*\])", said["HEALTHCHECK"])[1])
    assert check == ["boathouse", "health"]
    wait(lambda: subprocess.run([SERVER, "health", "--addr", f"127.0.0.1:{port}"], capture_output=True).returncode == 0)
    login = f"host=127.0.0.1 port={port} user=boathouse dbname=boathouse password='{PASSWORD}'"
    return psycopg.connect(login, autocommit=True)


def wait(is_so):
    for _ in range(600):
        if is_so():
            return
        time.sleep(0.1)
    raise AssertionError("it takes too long")


def alone(machine):
    services = compose("compose.yaml")
    connection = server(machine, services["boathouse"])
    connection.execute("CREATE TABLE t (n int); INSERT INTO t VALUES (1), (2)")
    assert connection.execute("SELECT sum(n) FROM t").fetchone() == (3,)


def shared(machine):
    services = compose("compose.shared.yaml")
    # As docker/README.md makes them.
    secrets = {"master_key": ["rand", "-base64", "32"], "metadata_password": ["rand", "-hex", "24"], "store_secret": ["rand", "-hex", "24"]}
    for name, command in secrets.items():
        made = subprocess.run(["openssl", *command], capture_output=True, check=True).stdout.strip()
        machine.place(f"/run/secrets/{name}").write_bytes(made)
    postgres, port = pathlib.Path(os.environ["TEST_POSTGRES"]) / "bin", free_port()
    metadata = services["metadata"]["environment"]
    data = machine.place("/var/lib/postgresql")
    data.mkdir()
    data.chmod(0o777)
    password = machine.text(metadata["POSTGRES_PASSWORD_FILE"])
    user = metadata["POSTGRES_USER"]
    initdb = [postgres / "initdb", "-U", user, "--auth=scram-sha-256", "--no-sync", f"--pwfile={password}", "-D", data / "pg"]
    subprocess.run([*UNPRIVILEGED, *initdb], check=True, capture_output=True)
    machine.start([str(postgres / "postgres"), "-D", str(data / "pg"), "-k", str(data), "-p", str(port), "-c", "listen_addresses=127.0.0.1"], {})
    check = services["metadata"]["healthcheck"]["test"]
    assert check[0] == "CMD"
    wait(lambda: subprocess.run([postgres / check[1], *check[2:], "-h", "127.0.0.1", "-p", str(port)], capture_output=True).returncode == 0)
    login = f"host=127.0.0.1 port={port} user={user} dbname=postgres"
    with psycopg.connect(login, password=pathlib.Path(password).read_text(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {metadata['POSTGRES_DB']}")
    machine.names["@metadata/"] = f"@127.0.0.1:{port}/"
    store, folder = services["store"], machine.place("/data")
    folder.mkdir()
    folder.chmod(0o777)
    port = free_port()
    machine.names |= {":7070": f"127.0.0.1:{port}", "http://store:7070": f"http://127.0.0.1:{port}", "exec versitygw": f"exec {os.environ['TEST_VERSITYGW']}"}
    machine.start([*store["entrypoint"], *store["command"]], {}, user=[])
    wait(lambda: socket.socket().connect_ex(("127.0.0.1", port)) == 0)
    first = server(machine, services["first"], "shared.toml")
    first.execute("CREATE TABLE t (n int); INSERT INTO t SELECT generate_series(1, 20000)")
    assert list(folder.glob("boathouse/warehouse/**/*.parquet")), "the rows are in the store"
    second = server(machine, services["second"], "shared.toml")
    assert second.execute("SELECT sum(n) FROM t").fetchone() == (200010000,)
    (folder / "landing" / "numbers").mkdir()
    (folder / "landing" / "numbers" / "one.csv").write_text("n\n7\n")
    second.execute("CREATE EXTERNAL TABLE lake STORED AS CSV LOCATION 's3://landing/numbers/' OPTIONS ('format.has_header' 'true')")
    assert first.execute("SELECT n FROM lake").fetchall() == [(7,)]


def main():
    lint()
    what_is_copied()
    compose("compose.yaml", "compose.superset.yaml")
    for steps in [alone, shared]:
        with tempfile.TemporaryDirectory() as folder:
            os.chmod(folder, 0o777)
            machine = Machine(pathlib.Path(folder))
            try:
                steps(machine)
            finally:
                machine.stop()


main()
