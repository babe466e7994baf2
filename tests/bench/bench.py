"""The server beside its peers, in one run on one machine: ratios of time, ours to theirs. Answers are compared, too.

Peers: DuckDB in this process on the same Parquet files, PostgreSQL over the same kind of connection.
"""
import argparse
import base64
import contextlib
import decimal
import hashlib
import hmac
import json
import math
import os
import pathlib
import socket
import struct
import subprocess
import tempfile
import threading
import time

import duckdb
import psutil
import psycopg

TABLES = "lineitem orders customer part partsupp supplier nation region".split()
PASSWORD = "bench"
QUERIES = """
import duckdb, glob, json, os
site = os.path.dirname(os.path.dirname(duckdb.__file__))
connection = duckdb.connect(config={"allow_unsigned_extensions": "true"})
connection.execute("LOAD '%s'" % glob.glob(f"{site}/duckdb_extension_tpch/extensions/*/tpch.duckdb_extension")[0])
print(json.dumps(connection.execute("SELECT query_nr, query FROM tpch_queries()").fetchall()))
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Peak:
    """The highest resident memory of a process while this is entered, in MB."""

    def __init__(self, pid):
        self.process, self.mb, self.done = psutil.Process(pid), 0, threading.Event()

    def watch(self):
        while not self.done.wait(0.02):
            self.mb = max(self.mb, self.process.memory_info().rss / 1e6)

    def __enter__(self):
        self.thread = threading.Thread(target=self.watch)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        self.thread.join()


@contextlib.contextmanager
def ours(binary, folder):
    port = free_port()
    environment = os.environ | {"BOATHOUSE_PASSWORD": PASSWORD, "BOATHOUSE_LAKE__ALLOW": json.dumps([f"file://{folder}/"])}
    command = [binary, "serve", "--data-dir", f"{folder}/data", "--listen", f"127.0.0.1:{port}"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        for line in process.stdout:
            if line.startswith("listening on"):
                break
        yield {"host": "127.0.0.1", "port": port, "user": "boathouse", "dbname": "boathouse", "password": PASSWORD, "pid": process.pid}
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def postgres(folder):
    installed = os.environ["TEST_POSTGRES"]
    environment = os.environ | {"LD_LIBRARY_PATH": f"{installed}/lib"}
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.geteuid() == 0 else []
    with tempfile.TemporaryDirectory() as home:
        os.chmod(home, 0o755)
        pathlib.Path(home, "password").write_text(PASSWORD)
        if nobody:
            subprocess.run(["chown", "-R", "65534:65534", home], check=True)
        initdb = [f"{installed}/bin/initdb", "-U", "boathouse", "-A", "scram-sha-256", "-E", "UTF8", "--locale=C", "-D", f"{home}/data"]
        subprocess.run([*nobody, *initdb, f"--pwfile={home}/password"], check=True, capture_output=True, env=environment, cwd="/")
        port = free_port()
        settings = ["listen_addresses=127.0.0.1", "shared_buffers=2GB", "max_wal_size=8GB", "work_mem=256MB"]
        options = [option for setting in settings for option in ("-c", setting)]
        command = [*nobody, f"{installed}/bin/postgres", "-D", f"{home}/data", "-k", home, "-p", str(port), *options]
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/")
        parameters = {"host": "127.0.0.1", "port": port, "user": "boathouse", "dbname": "postgres", "password": PASSWORD}
        try:
            for _attempt in range(200):
                with contextlib.suppress(psycopg.OperationalError):
                    psycopg.connect(**parameters).close()
                    break
                time.sleep(0.05)
            yield parameters
        finally:
            process.terminate()
            process.wait()


def connect(server):
    return psycopg.connect(**{key: value for key, value in server.items() if key != "pid"}, autocommit=True)


def best(repeats, work):
    times = []
    for _repeat in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def pgbench(server, *options):
    installed = os.environ["TEST_POSTGRES"]
    environment = os.environ | {"LD_LIBRARY_PATH": f"{installed}/lib", "PGPASSWORD": server["password"]}
    place = ["-h", server["host"], "-p", str(server["port"]), "-U", server["user"], server["dbname"]]
    done = subprocess.run([f"{installed}/bin/pgbench", *map(str, options), *place], check=True, capture_output=True, text=True, env=environment)
    return done.stdout


def rate(output):
    return next(float(line.split()[2]) for line in output.splitlines() if line.startswith("tps = "))


class Wire:
    """A connection that reads results without decoding them, and sends COPY's data as it is in the file."""

    def __init__(self, server):
        self.socket = socket.create_connection((server["host"], server["port"]))
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.buffer = b""
        start = b"".join(part.encode() + b"\0" for part in ("user", server["user"], "database", server["dbname"])) + b"\0"
        self.socket.sendall(struct.pack("!ii", len(start) + 8, 196608) + start)
        self.authenticate(server["password"])

    def message(self):
        while len(self.buffer) < 5 or len(self.buffer) < 1 + struct.unpack("!i", self.buffer[1:5])[0]:
            received = self.socket.recv(65536)
            assert received, "the server closed the connection"
            self.buffer += received
        length = struct.unpack("!i", self.buffer[1:5])[0]
        kind, body, self.buffer = self.buffer[:1], self.buffer[5:1 + length], self.buffer[1 + length:]
        assert kind != b"E", body
        return kind, body

    def send(self, kind, body):
        self.socket.sendall(kind + struct.pack("!i", 4 + len(body)) + body)

    def authenticate(self, password):
        while True:
            kind, body = self.message()
            if kind == b"Z":
                return
            code = struct.unpack("!i", body[:4])[0] if kind == b"R" else 0
            if code == 10:
                first = "n=,r=" + base64.b64encode(os.urandom(18)).decode()
                message = ("n,," + first).encode()
                self.send(b"p", b"SCRAM-SHA-256\0" + struct.pack("!i", len(message)) + message)
            elif code == 11:
                challenge = body[4:].decode()
                given = dict(part.split("=", 1) for part in challenge.split(","))
                salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(given["s"]), int(given["i"]))
                key = hmac.digest(salted, b"Client Key", "sha256")
                final = "c=biws,r=" + given["r"]
                signature = hmac.digest(hashlib.sha256(key).digest(), ",".join([first, challenge, final]).encode(), "sha256")
                proof = base64.b64encode(bytes(a ^ b for a, b in zip(key, signature))).decode()
                self.send(b"p", f"{final},p={proof}".encode())

    def drain(self, sql):
        """Bytes of a result, and seconds until its first."""
        start, first, count, tail = time.perf_counter(), None, 0, b""
        self.send(b"Q", sql.encode() + b"\0")
        view = bytearray(1 << 20)
        while tail[-6:-1] != b"Z\0\0\0\5":
            received = self.socket.recv_into(view)
            assert received, "the server closed the connection"
            first = first or time.perf_counter() - start
            count += received
            tail = (tail + bytes(view[max(0, received - 16):received]))[-16:]
        return count, first


    def copy_in(self, sql, path):
        self.send(b"Q", sql.encode() + b"\0")
        while self.message()[0] != b"G":
            pass
        with open(path, "rb") as data:
            while chunk := data.read(1 << 18):
                self.socket.sendall(b"d" + struct.pack("!i", 4 + len(chunk)))
                self.socket.sendall(chunk)
        self.send(b"c", b"")
        while self.message()[0] != b"Z":
            pass


def normal(rows):
    def value(v):
        if isinstance(v, (int, float, decimal.Decimal)):
            return float(v)
        return v.isoformat() if hasattr(v, "isoformat") else v

    key = lambda row: str([round(v, 1) if isinstance(v, float) else v for v in row])
    return sorted((tuple(value(v) for v in row) for row in rows), key=key)


def same(a_rows, b_rows):
    def equal(a, b):
        return abs(a - b) <= max(0.01, abs(b) * 1e-9) if isinstance(a, float) and isinstance(b, float) else a == b

    return len(a_rows) == len(b_rows) and all(len(a) == len(b) and all(map(equal, a, b)) for a, b in zip(a_rows, b_rows))


class Bench:
    def __init__(self, arguments, folder):
        self.scale, self.folder, self.rows = arguments.scale, folder, []

    def add(self, work, peer, own, theirs, note=""):
        self.rows.append((work, peer, f"{own:.4g} s", f"{theirs:.4g} s", f"{own / theirs:.2f}", note))
        print(" | ".join(self.rows[-1]), flush=True)

    def generate(self):
        generator = os.path.join(os.path.dirname(os.environ["TEST_PYTHON"]), "tpchgen-cli")
        for form, options in (("parquet", ["--parts=1"]), ("csv", [])):
            subprocess.run([generator, form, "-s", self.scale, *options, f"--output-dir={self.folder}/{form}"], check=True, capture_output=True)

    def prepare(self, connection):
        types = {"BIGINT": "bigint", "INTEGER": "int", "VARCHAR": "text", "DATE": "date"}
        self.columns = {}
        self.duck = duckdb.connect(config={"threads": os.cpu_count()})
        for schema in ("lake", "warehouse"):
            connection.execute(f"CREATE SCHEMA {schema}")
        for table in TABLES:
            files = f"{self.folder}/parquet/{table}"
            self.duck.execute(f"CREATE VIEW {table} AS SELECT * FROM '{files}/*.parquet'")
            described = self.duck.execute(f"DESCRIBE {table}").fetchall()
            columns = ((row[0], types.get(row[1], row[1].replace("DECIMAL", "numeric"))) for row in described)
            self.columns[table] = ", ".join(f"{name} {pg} NOT NULL" for name, pg in columns)
            connection.execute(f"CREATE EXTERNAL TABLE lake.{table} STORED AS PARQUET LOCATION 'file://{files}/'")

    def copy_in(self, wire, table, target):
        wire.copy_in(f"COPY {target} FROM STDIN (FORMAT csv, HEADER)", f"{self.folder}/csv/{table}.csv")

    def copy(self, server, peer):
        with connect(server) as own, connect(peer) as theirs:
            def load(connection, wire, create):
                connection.execute("DROP TABLE IF EXISTS copied")
                connection.execute(f"{create} TABLE copied ({self.columns['lineitem']})")
                start = time.perf_counter()
                self.copy_in(wire, "lineitem", "copied")
                return time.perf_counter() - start

            with Peak(server["pid"]) as peak:
                ours_time = min(load(own, Wire(server), "CREATE") for _repeat in range(2))
            theirs_time = min(load(theirs, Wire(peer), "CREATE UNLOGGED") for _repeat in range(2))
            count = "SELECT count(*), sum(l_extendedprice) FROM copied"
            assert own.execute(count).fetchone() == theirs.execute(count).fetchone()
            megabytes = os.path.getsize(f"{self.folder}/csv/lineitem.csv") / 1e6
            self.add("COPY lineitem FROM STDIN csv", "PostgreSQL, unlogged", ours_time, theirs_time, f"{megabytes:.0f} MB; our memory up to {peak.mb:.0f} MB")

    def drain(self, server, peer):
        with connect(peer) as theirs:
            theirs.execute("VACUUM ANALYZE copied")
        own, theirs = Wire(server), Wire(peer)
        for name, sql in (("lake", "SELECT * FROM lake.lineitem"), ("warehouse", "SELECT * FROM copied")):
            sizes = {}

            def read(wire, query, who):
                sizes[who] = wire.drain(query)

            with Peak(server["pid"]) as peak:
                ours_time = best(3, lambda: read(own, sql, "ours"))
            theirs_time = best(3, lambda: read(theirs, "SELECT * FROM copied", "theirs"))
            assert abs(sizes["ours"][0] - sizes["theirs"][0]) < 10_000, sizes
            note = f"{sizes['ours'][0] / 1e6:.0f} MB; first row after {sizes['ours'][1] * 1e3:.0f} ms; our memory up to {peak.mb:.0f} MB"
            self.add(f"SELECT * FROM lineitem ({name})", "PostgreSQL", ours_time, theirs_time, note)

    def trivial(self, server, peer):
        with connect(server) as own, connect(peer) as theirs:
            for name, prepare in (("SELECT 1, simple", None), ("SELECT 1, prepared", True)):
                def many(connection):
                    cursor = connection.cursor()
                    for _call in range(500):
                        cursor.execute("SELECT 1" if prepare is None else "SELECT %s::int", None if prepare is None else (1,), prepare=prepare)
                        cursor.fetchall()

                ours_time, theirs_time = best(3, lambda: many(own)) / 500, best(3, lambda: many(theirs)) / 500
                self.add(name, "PostgreSQL", ours_time, theirs_time)

    def commits(self, server, peer):
        """pgbench's rates as seconds for each transaction: single-row INSERT, point SELECT, TPC-B, one-row UPDATE."""
        scripts = {"INSERT": "INSERT INTO plain VALUES (1, 'abc');", "INSERT with a serial key": "INSERT INTO keyed (b) VALUES ('abc');"}
        for one in (server, peer):
            with connect(one) as connection:
                connection.execute("CREATE TABLE plain (a int, b text)")
                connection.execute("CREATE TABLE keyed (a serial PRIMARY KEY, b text)")
            pgbench(one, "-q", "-i", "-s", "10")
        rates = [(f"{name}, {clients} clients", ["-f", pathlib.Path(self.folder, f"{index}.sql"), "-c", clients])
                 for index, name in enumerate(scripts) for clients in (1, 8)]
        for index, script in enumerate(scripts.values()):
            pathlib.Path(self.folder, f"{index}.sql").write_text(script)
        rates.append(("pgbench -S -M prepared, 8 clients", ["-S", "-M", "prepared", "-c", 8]))
        rates.append(("pgbench TPC-B, 8 clients", ["-c", 8, "--max-tries=1000"]))
        for name, options in rates:
            own, theirs = (1 / rate(pgbench(one, "-n", "-T", "5", *options)) for one in (server, peer))
            self.add(name, "PostgreSQL", own, theirs, "seconds for each transaction")
        with connect(server) as own, connect(peer) as theirs:
            for connection in (own, theirs):
                connection.execute("CREATE TABLE ten (id bigint PRIMARY KEY, v int)")
                connection.execute("INSERT INTO ten SELECT i, 0 FROM generate_series(1, 10000000) i")
            update = "UPDATE ten SET v = v + 1 WHERE id = 5000001"
            self.add("UPDATE of one row in 10 M", "PostgreSQL", best(10, lambda: own.execute(update)), best(10, lambda: theirs.execute(update)))

    def upkeep(self, server):
        """10,000 small commits, and the table beside a freshly loaded one once upkeep has done its work."""
        with connect(server) as connection:
            connection.execute("CREATE TABLE small (id bigint, v text)")
            script = pathlib.Path(self.folder, "small.sql")
            script.write_text("INSERT INTO small SELECT i, 'abc' FROM generate_series(1, 100) i;")
            began = time.perf_counter()
            pgbench(server, "-n", "-c", 8, "-t", 1250, "-f", script)
            loaded = time.perf_counter() - began
            metadata = sum(file.stat().st_size for file in pathlib.Path(self.folder, "data").glob("metadata.sqlite*"))
            runs, quiet = "SELECT autovacuum_count, n_ins_since_vacuum FROM pg_stat_user_tables WHERE relname = 'small'", None
            while (seen := connection.execute(runs).fetchone()) != quiet:
                quiet = seen
                time.sleep(3)
            connection.execute("CREATE TABLE fresh AS SELECT * FROM small")
            scans = {table: best(5, lambda: connection.execute(f"SELECT count(*), sum(id), max(v) FROM {table}").fetchall()) for table in ("small", "fresh")}
            note = f"{10_000 / loaded:.0f} commits of 100 rows a second, {metadata / 10_000 / 1024:.1f} KiB of metadata each, {seen[0]} runs of VACUUM"
            self.add("scan after 10,000 small commits", "a fresh table", scans["small"], scans["fresh"], note)

    def catalog(self, server, peer):
        """What psql and inspectors ask, over 10,000 tables of ten columns with a key."""
        sql = """SELECT n.nspname, c.relname, c.relkind, pg_catalog.pg_get_userbyid(c.relowner)
            FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            WHERE c.relkind IN ('r','p','v','m','S','f','') AND n.nspname <> 'pg_catalog' AND n.nspname !~ '^pg_toast'
            AND n.nspname <> 'information_schema' AND pg_catalog.pg_table_is_visible(c.oid) ORDER BY 1, 2"""
        columns = """SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod),
            (SELECT pg_catalog.pg_get_expr(d.adbin, d.adrelid, true) FROM pg_catalog.pg_attrdef d
             WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum AND a.atthasdef), a.attnotnull, a.attidentity
            FROM pg_catalog.pg_attribute a WHERE a.attrelid = 't500'::regclass AND a.attnum > 0 ORDER BY a.attnum"""
        indexes = """SELECT n.nspname, c.relname, c2.relname FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            LEFT JOIN pg_catalog.pg_index i ON i.indexrelid = c.oid LEFT JOIN pg_catalog.pg_class c2 ON i.indrelid = c2.oid
            WHERE c.relkind IN ('i','I','') AND n.nspname <> 'pg_catalog' AND pg_catalog.pg_table_is_visible(c.oid) ORDER BY 1, 2"""
        standard = """SELECT column_name, data_type, is_nullable, column_default FROM information_schema.columns
            WHERE table_schema = 'public' AND table_name = 't500' ORDER BY ordinal_position"""
        with connect(server) as own, connect(peer) as theirs:
            for connection in (own, theirs):
                for first in range(0, 10_000, 1000):
                    with connection.transaction():
                        for number in range(first, first + 1000):
                            fields = ", ".join(f"c{field} int DEFAULT {field}" for field in range(9))
                            connection.execute(f"CREATE TABLE t{number} (id int PRIMARY KEY, {fields})")
            for name, query in (("\\d over 10,000 tables", sql), ("\\d of one of them", columns), ("\\di over all", indexes), ("information_schema.columns of one", standard)):
                assert len(own.execute(query).fetchall()) >= 10
                self.add(name, "PostgreSQL", best(5, lambda: own.execute(query).fetchall()), best(5, lambda: theirs.execute(query).fetchall()))

    def policies(self, server):
        """TPC-H with a row policy and a mask on every table, beside views that do the same, written by hand."""
        with connect(server) as owner:
            owner.execute(f"CREATE ROLE reader LOGIN PASSWORD '{PASSWORD}'")
            owner.execute("CREATE MASKING POLICY short WITH (v text) USING (left(v, 8))")
            for schema in ("plain", "governed", "views"):
                owner.execute(f"CREATE SCHEMA {schema}; GRANT USAGE ON SCHEMA {schema} TO reader")
            for table in TABLES:
                names = [column.split()[0] for column in self.columns[table].split(", ")]
                key, comment = names[0], names[-1]
                for schema in ("plain", "governed"):
                    owner.execute(f"CREATE TABLE {schema}.{table} ({self.columns[table]})")
                    self.copy_in(Wire(server), table, f"{schema}.{table}")
                owner.execute(f"ALTER TABLE governed.{table} ENABLE ROW LEVEL SECURITY")
                owner.execute(f"CREATE POLICY seen ON governed.{table} USING ({key} >= 0)")
                owner.execute(f"ATTACH MASKING POLICY short ON governed.{table} ({comment}) TO PUBLIC")
                shown = ", ".join(f"left({name}, 8) AS {name}" if name == comment else name for name in names)
                owner.execute(f"CREATE VIEW views.{table} AS SELECT {shown} FROM plain.{table} WHERE {key} >= 0")
            owner.execute("GRANT SELECT ON ALL TABLES IN SCHEMA governed TO reader; GRANT SELECT ON ALL TABLES IN SCHEMA views TO reader")
        with connect(server | {"user": "reader"}) as reader:
            ratios, totals = {}, [0, 0]
            for number, query in self.queries():
                times, answers = [], []
                for schema in ("governed", "views"):
                    reader.execute(f"SET search_path = {schema}")
                    answers.append(normal(reader.execute(query).fetchall()))
                    times.append(best(3, lambda: reader.execute(query).fetchall()))
                assert same(*answers), f"query {number} answers otherwise under policies"
                ratios[number] = times[0] / times[1]
                totals = [total + own for total, own in zip(totals, times)]
            mean = math.exp(sum(map(math.log, ratios.values())) / len(ratios))
            worst = ", ".join(f"Q{number} {ratio:.1f}" for number, ratio in sorted(ratios.items(), key=lambda item: -item[1])[:4])
            self.add("TPC-H under policies", "masking views by hand", *totals, f"geometric mean {mean:.2f}; worst {worst}")

    def planning(self, server):
        """A statement of a role with few rights, before and after there are 10,000 tables, 1,000 roles and 100,000 grants."""
        with connect(server) as owner, connect(server) as planner:
            owner.execute("CREATE ROLE planner; CREATE TABLE one (a int, b text); GRANT SELECT ON one TO planner")
            planner.execute("SET ROLE planner")
            numbers = iter(range(1_000_000))

            def many(table):
                for _call in range(200):
                    planner.execute(f"SELECT b FROM {table} WHERE a = {next(numbers)}").fetchall()
            before = best(5, lambda: many("one")) / 200
            with owner.transaction():
                owner.execute("CREATE SCHEMA many; GRANT USAGE ON SCHEMA many TO planner")
                for number in range(1000):
                    owner.execute(f"CREATE ROLE many{number}")
                for number in range(0, 1000, 10):
                    owner.execute(f"GRANT many{number} TO planner")
                for number in range(10_000):
                    owner.execute(f"CREATE TABLE many.t{number} (a int, b text)")
                owner.execute("GRANT SELECT ON ALL TABLES IN SCHEMA many TO " + ", ".join(f"many{number}" for number in range(0, 100, 10)))
            after = best(5, lambda: many("many.t5000")) / 200
            note = f"{(after - before) * 1000:.2f} ms more for 10,000 tables, 1,000 roles and 100,000 grants"
            self.add("planning among many", "an empty catalog", after, before, note)

    def queries(self):
        listed = subprocess.run([os.environ["TEST_PYTHON"], "-c", QUERIES], check=True, capture_output=True, text=True)
        return [(number, query.strip().rstrip(";")) for number, query in json.loads(listed.stdout)]

    def tpch(self, server):
        queries = self.queries()
        with connect(server) as connection, Peak(server["pid"]) as peak:
            for table in TABLES:
                connection.execute(f"CREATE TABLE warehouse.{table} ({self.columns[table]})")
                self.copy_in(Wire(server), table, f"warehouse.{table}")
            for schema in ("lake", "warehouse"):
                connection.execute(f"SET search_path = {schema}")
                ratios, own_total, theirs_total = {}, 0, 0
                for number, query in queries:
                    answers = normal(connection.execute(query).fetchall()), normal(self.duck.execute(query).fetchall())
                    assert same(*answers), f"query {number} over {schema} answers otherwise than DuckDB"
                    ours_time = best(3, lambda: connection.execute(query).fetchall())
                    theirs_time = best(3, lambda: self.duck.execute(query).fetchall())
                    ratios[number] = ours_time / theirs_time
                    own_total, theirs_total = own_total + ours_time, theirs_total + theirs_time
                mean = math.exp(sum(map(math.log, ratios.values())) / len(ratios))
                worst = ", ".join(f"Q{number} {ratio:.1f}" for number, ratio in sorted(ratios.items(), key=lambda item: -item[1])[:4])
                self.add(f"TPC-H, 22 queries ({schema})", "DuckDB on Parquet", own_total, theirs_total, f"geometric mean {mean:.2f}; worst {worst}")
        print(f"memory up to {peak.mb:.0f} MB during TPC-H", flush=True)

    def table(self):
        heads = ("work", "peer", "ours", "peer's", "ratio", "")
        print("\n| " + " | ".join(heads) + " |\n|" + "---|" * len(heads))
        for row in self.rows:
            print("| " + " | ".join(row) + " |")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--server", required=True, help="the server's binary")
    parser.add_argument("--scale", default="1", help="TPC-H scale factor")
    parser.add_argument("--only", nargs="*", default=["trivial", "planning", "catalog", "commits", "upkeep", "copy", "drain", "tpch", "policies"], help="what to measure")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, ours(arguments.server, folder) as server, postgres(folder) as peer:
        bench = Bench(arguments, folder)
        bench.generate()
        with connect(server) as connection:
            bench.prepare(connection)
        if "trivial" in arguments.only:
            bench.trivial(server, peer)
        if "planning" in arguments.only:
            bench.planning(server)
        if "catalog" in arguments.only:
            bench.catalog(server, peer)
        if "commits" in arguments.only:
            bench.commits(server, peer)
        if "upkeep" in arguments.only:
            bench.upkeep(server)
        if "copy" in arguments.only or "drain" in arguments.only:
            bench.copy(server, peer)
        if "drain" in arguments.only:
            bench.drain(server, peer)
        if "tpch" in arguments.only:
            bench.tpch(server)
        if "policies" in arguments.only:
            bench.policies(server)
        bench.table()


main()
