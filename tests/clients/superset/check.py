"""Apache Superset, clicked through in Chromium: connection, upload, SQL Lab, datasets, charts, a dashboard; what policies hide is in no answer."""
import collections
import datetime
import os
import pathlib
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from decimal import Decimal

import psycopg2
import psycopg2.extras
import pyarrow
import pyarrow.parquet
from playwright.sync_api import Error, TimeoutError, expect, sync_playwright

ARTIFACTS = os.environ.get("ARTIFACTS")
LAKE = os.environ.get("LAKE")
PASSWORD = "an analyst's"
REGIONS = ["north", "south", "east", "west"]
NAMES = ["Ada", "Ben", "Cleo", "Dan", "Eve", "Fay"]
BOOKINGS = [(n, datetime.date(2025, 1, 1) + datetime.timedelta(n * 7 % 360), REGIONS[n % 4], Decimal(n * 37 % 400) + Decimal("0.25"),
             f"{NAMES[n // 4 % 6]} of {REGIONS[n % 4]}", f"{NAMES[n // 4 % 6].lower()}{n}@secret.example") for n in range(1, 601)]
TRIPS = [(n, n % 600 + 1, datetime.datetime(2024, 11, 30, 23, 58, 7) + datetime.timedelta(seconds=n * 7919 * 5), n % 9 * 1.5, f"Captain {n} Covert")
         for n in range(1, 801)]
# No answer may have these: all mails, all drivers, the customers of other regions.
HIDDEN = re.compile(r"secret\.example|Covert| of (?:south|east|west)\b")
MANAGERS = {"north": "Nia", "south": "Sam", "east": "Eli", "west": "Wes"}
SEEN = [booking for booking in BOOKINGS if booking[2] == "north"]


def same(what, got, wanted):
    assert got == wanted, f"{what}\nwanted {wanted!r}\n   got {got!r}"


def until(what, look, wanted):
    """Looks again until what is seen is what is wanted."""
    end = time.monotonic() + 60
    while (got := look()) != wanted and time.monotonic() < end:
        page.wait_for_timeout(200)
    same(what, got, wanted)


def masked(value):
    return value[0] + "***"


def shown(value):
    """A value as a grid shows it."""
    if value is None:
        return "NULL"
    if isinstance(value, (int, float, Decimal)):
        return f"{float(value):.9g}"
    return str(value)


# What the server has, and what it hides from the analyst.
owner = psycopg2.connect("")
owner.autocommit = True
cursor = owner.cursor()
cursor.execute("SELECT version()")
boathouse = "Boathouse" in cursor.fetchone()[0]
ALL = os.environ.get("ALL") or not boathouse


def clean():
    cursor.execute("DROP SCHEMA IF EXISTS sales CASCADE")
    cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = 'analyst'")
    if cursor.fetchone():
        cursor.execute("DROP OWNED BY analyst")
        cursor.execute("DROP ROLE analyst")
    if boathouse:
        cursor.execute("DROP MASKING POLICY IF EXISTS initial")


def hide(table, columns, hidden, condition):
    """Only some rows, and `hidden` masked. PostgreSQL has no masks: there it is a view."""
    if boathouse:
        cursor.execute(f"ATTACH MASKING POLICY initial ON {table} ({hidden}) TO ROLE analyst")
        if condition != "true":
            cursor.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
            cursor.execute(f"CREATE POLICY some ON {table} TO analyst USING ({condition})")
    else:
        name = table.split(".")[1]
        columns = ", ".join(f"left({column}, 1) || '***' AS {column}" if column == hidden else column for column in columns)
        cursor.execute(f"ALTER TABLE {table} RENAME TO {name}_all; CREATE VIEW {table} AS SELECT {columns} FROM {table}_all WHERE {condition}")
    cursor.execute(f"GRANT SELECT ON {table} TO analyst")


def prepare():
    clean()
    cursor.execute(f"CREATE ROLE analyst LOGIN PASSWORD '{PASSWORD.replace(chr(39), 2 * chr(39))}'")
    cursor.execute("CREATE SCHEMA sales")
    cursor.execute("GRANT USAGE, CREATE ON SCHEMA sales TO analyst")
    cursor.execute("CREATE TABLE sales.bookings (id int PRIMARY KEY, day date NOT NULL, region text, price numeric(10,2), customer text, mail text)")
    psycopg2.extras.execute_values(cursor, "INSERT INTO sales.bookings VALUES %s", BOOKINGS)
    cursor.execute("CREATE TABLE sales.regions (region text PRIMARY KEY, manager varchar(20) NOT NULL)")
    cursor.execute("COMMENT ON TABLE sales.regions IS 'Who answers'")
    cursor.execute("COMMENT ON COLUMN sales.regions.manager IS 'First name'")
    cursor.execute("CREATE UNIQUE INDEX regions_manager ON sales.regions (manager)")
    psycopg2.extras.execute_values(cursor, "INSERT INTO sales.regions VALUES %s", MANAGERS.items())
    cursor.execute("CREATE TABLE sales.wages (who text, wage int)")
    if boathouse:
        cursor.execute("CREATE MASKING POLICY initial WITH (v text) USING (left(v, 1) || '***')")
    if boathouse and LAKE:
        trips = pyarrow.Table.from_pylist([dict(zip(("id", "booking", "started", "km", "driver"), trip)) for trip in TRIPS])
        for fleet in (0, 1):
            (lake / f"fleet={fleet}").mkdir(parents=True)
            pyarrow.parquet.write_table(trips.slice(fleet * 400, 400), lake / f"fleet={fleet}" / "trips.parquet")
        cursor.execute(f"CREATE EXTERNAL TABLE sales.trips STORED AS PARQUET LOCATION 'file://{lake}/'")
    else:
        cursor.execute("CREATE TABLE sales.trips (id bigint, booking bigint, started timestamp, km double precision, driver text, fleet int)")
        psycopg2.extras.execute_values(cursor, "INSERT INTO sales.trips VALUES %s", [(*trip, int(trip[0] > 400)) for trip in TRIPS])
    hide("sales.bookings", ["id", "day", "region", "price", "customer", "mail"], "mail", "region = 'north'")
    hide("sales.trips", ["id", "booking", "started", "km", "driver", "fleet"], "driver", "true")
    cursor.execute("GRANT SELECT ON sales.regions TO analyst")


def superset(*arguments):
    done = subprocess.run([pathlib.Path(sys.executable).parent / "superset", *arguments], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, f"superset {arguments}\n{done.stdout.decode()[-5000:]}"


def part(kind, name, **more):
    """Of the page, by its role."""
    return page.get_by_role(kind, name=name, **more)


def tick(box):
    """One that the page draws anew at that moment does not change."""
    for _attempt in range(3):
        try:
            return box.check()
        except Error:
            page.wait_for_timeout(500)
    box.check()


OPTIONS = ".ant-select-dropdown:visible .ant-select-item-option"


def options():
    return page.locator(OPTIONS).all_inner_texts()


def click(button, found, state="visible"):
    """Clicks until something is there, or gone: a click on what is just drawn anew is lost."""
    for _ in range(5):
        try:
            button.click(timeout=10000)
        except TimeoutError:
            pass
        try:
            found.wait_for(state=state, timeout=15000)
            return
        except TimeoutError:
            pass
    found.wait_for(state=state)


def choose(box, value):
    option = page.locator(OPTIONS).get_by_text(value, exact=True).first
    for _ in range(5):  # what is typed before the options have come is lost
        box.fill("")
        box.press_sequentially(value, delay=30)
        try:
            option.wait_for(timeout=5000)
            break
        except TimeoutError:
            pass
    option.click()


def grid(scope):
    """The heads and the rows of a grid, as far as it has drawn them."""
    return scope.evaluate("""scope => [
        [...scope.querySelectorAll('.ag-header-viewport [role=columnheader]')].map(cell => cell.innerText.trim()),
        [...scope.querySelectorAll('.ag-center-cols-container [role=row]')].sort((a, b) => a.getAttribute('row-index') - b.getAttribute('row-index'))
            .map(row => [...row.querySelectorAll('[role=gridcell]')].map(cell => cell.innerText.trim()))]""")


def numbers(found):
    """Numbers in cells with as many digits as `shown` gives them."""
    return [found[0], [[shown(float(cell)) if re.fullmatch(r"-?\d+(\.\d+)?", cell) else cell.replace("N/A", "NULL") for cell in row] for row in found[1]]]


def rows(scope, heads, wanted):
    until("grid", lambda: numbers(grid(scope)), [heads, [[shown(value) for value in row] for row in wanted]])


def some_of(scope, wanted):
    """Rows of those wanted, with all columns that are drawn."""
    expect(scope.locator(".ag-center-cols-container [role=row]").first).to_be_visible()
    heads, got = numbers(grid(scope))
    assert got, "no rows"
    same("rows", set(map(tuple, got)) - {tuple(map(shown, row[:len(heads)])) for row in wanted}, set())


def nothing_hidden():
    same("in the page", HIDDEN.findall(page.content()), [])
    same("in an answer", leaks, [])


def picture(name):
    if ARTIFACTS:
        page.screenshot(path=pathlib.Path(ARTIFACTS, name))


def toast(text):
    return page.get_by_role("alert").filter(has_text=text).first


def login():
    menu, button = part("menuitem", "Datasets"), part("button", "Sign in")
    for _ in range(4):  # who is signed in is sent on; a page that did not come up is asked for again
        page.goto(f"{address}/login/")
        try:
            button.or_(menu).first.wait_for(timeout=30000)
            if button.is_visible():
                page.get_by_label("Username:").fill("admin")
                page.get_by_label("Password:").fill("admin")
                button.click()
            menu.wait_for(timeout=30000)
            return
        except TimeoutError:
            pass
    menu.wait_for()


def connect():
    """A database connection of the analyst."""
    page.goto(f"{address}/databaseview/list/")
    dialog = page.get_by_role("dialog")
    click(part("button", "plus Database"), dialog)
    by_uri = dialog.get_by_role("button", name="Connect this database with a SQLAlchemy URI string instead")
    uri = dialog.get_by_placeholder("dialect+driver")
    click(dialog.get_by_role("button", name="PostgreSQL"), by_uri)
    click(by_uri, uri)
    dialog.get_by_placeholder("Name your database").fill("House")
    for user, password, database, told in [
            ("analyst", "wrong", os.environ["PGDATABASE"], 'The password provided for username "analyst" is incorrect'),
            ("analyst", PASSWORD, "nowhere", 'Unable to connect to database "nowhere"'),
            ("analyst", PASSWORD, os.environ["PGDATABASE"], "Connection looks good!")]:
        uri.fill(f"postgresql://{user}:{urllib.parse.quote(password)}@{os.environ['PGHOST']}:{os.environ['PGPORT']}/{database}")
        click(dialog.get_by_role("button", name="Test connection"), toast(told))
    dialog.get_by_role("tab", name="Advanced").click()
    dialog.get_by_role("heading", name="SQL Lab").click()
    for box in ("Allow CREATE TABLE AS", "Allow CREATE VIEW AS", "Allow DDL and DML", "Enable query cost estimation"):
        tick(dialog.get_by_role("checkbox", name=box))
    dialog.get_by_role("tab", name="Basic").click()
    connect = dialog.get_by_role("button", name="Connect", exact=True, disabled=False)
    click(dialog.get_by_role("button", name="Test connection"), connect)
    click(connect, dialog, "hidden")
    # Files may be uploaded: that is asked only of a connection that exists.
    page.goto(f"{address}/databaseview/list/")
    row = page.get_by_role("row").filter(has_text="House")
    row.hover()
    click(row.get_by_role("button", name="edit"), dialog)
    dialog.get_by_role("tab", name="Advanced").click()
    dialog.get_by_role("heading", name="Security").click()
    tick(dialog.get_by_role("checkbox", name="Allow file uploads to database"))
    click(dialog.get_by_role("button", name="Finish"), dialog, "hidden")


def upload():
    """A CSV file becomes a table."""
    file = home / "people.csv"
    file.write_text("code,born,score,name\n1,2001-02-03,1.5,Ann\n2,2002-03-04,2.25,Bob's\n3,,,\n")
    page.goto(f"{address}/databaseview/list/")
    part("menuitem", "down plus").hover()
    part("menuitem", re.compile("Data$")).last.hover()
    dialog = page.get_by_role("dialog")
    click(part("menuitem", "Upload CSV to database"), dialog)
    dialog.locator("input[type=file]").set_input_files(file)
    choose(dialog.get_by_role("combobox", name="Select a database"), "House")
    choose(dialog.get_by_role("combobox", name="Select a schema"), "sales")
    dialog.get_by_placeholder("Name of table to be created").fill("people")
    dialog.get_by_text("File settings", exact=True).click()
    choose(dialog.get_by_role("combobox", name="Choose columns to be parsed as dates"), "born")
    click(dialog.get_by_role("button", name="Upload", exact=True), toast("Data imported"))
    cursor.execute("SELECT * FROM sales.people ORDER BY code")
    same("people", cursor.fetchall(), [
        (1, datetime.datetime(2001, 2, 3), 1.5, "Ann"), (2, datetime.datetime(2002, 3, 4), 2.25, "Bob's"), (3, None, None, None)])


def tree_item(name):
    return page.get_by_role("tree").get_by_role("treeitem").filter(has=page.get_by_text(name, exact=True))


def type_query(query):
    page.locator(".ace_text-input").first.focus()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(query)


def run(query, heads=None, wanted=None):
    type_query(query)
    page.wait_for_timeout(500)
    with page.expect_request("**/api/v1/sqllab/execute/"):
        part("button", "caret-right Run").click()
    results = part("tabpanel", "Results")
    if heads:
        rows(results, heads, wanted)
    return results


def refused(query, message):
    expect(run(query)).to_contain_text(message)


def sleeping():
    cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE usename = 'analyst' AND query ILIKE '%pg_sleep(%'")
    return cursor.fetchone()[0]


def lab():
    """SQL Lab: schemas, tables, columns, previews; queries, errors, costs, stopping, a download, CREATE TABLE AS."""
    page.goto(f"{address}/sqllab/")
    click(part("tab", "Add a new tab"), part("button", "caret-right Run"))
    selection = part("tooltip", re.compile("Select Database and Schema"))
    click(page.locator("[data-test=DatabaseSelector]").first, selection)
    choose(selection.get_by_role("combobox", name="Select database"), "House")
    choose(selection.get_by_role("combobox", name="Select schema"), "sales")
    selection.get_by_role("button", name="Select", exact=True).click()
    expect(page.locator("[data-test=DatabaseSelector]").first).to_contain_text("sales")
    tree_item("sales").click()
    for table in ("bookings", "people", "regions", "trips"):
        expect(tree_item(table)).to_be_visible()
    tree_item("trips").click()
    for column, kind in [("id", "BIGINT"), ("started", "TIMESTAMP"), ("km", "DOUBLE_PRECISION"), ("driver", "TEXT"), ("fleet", "INTEGER")]:
        expect(tree_item(column)).to_have_text(column + kind)
    tree_item("trips").click()
    # The preview of a table: columns with comments, indexes, rows.
    for table, columns, kept in [
            ("regions", [("region", "TEXT", "[]", "NULL"), ("manager", "VARCHAR(20)", "regions_manager", "First name")], [(r, MANAGERS[r]) for r in REGIONS]),
            ("bookings", [(name, kind, "NULL") for name, kind in (
                ("id", "INTEGER"), ("day", "DATE"), ("region", "TEXT"), ("price", "NUMERIC(10, 2)"), ("customer", "TEXT"), ("mail", "TEXT"))],
             [(*booking[:5], masked(booking[5])) for booking in SEEN])]:
        panel = part("tabpanel", f"insert-row sales.{table}")
        while not panel.count():  # a pin is lost if the page is still busy
            tree_item(table).hover()
            tree_item(table).get_by_role("button", name="pushpin").click()
            page.wait_for_timeout(2000)
        until(table, lambda: [tuple(re.sub(".*(regions_manager).*", r"\1", cell) for cell in row) for row in grid(panel)[1]], columns)
        panel.get_by_role("tab", name="Data preview").click()
        some_of(panel.get_by_role("tabpanel", name="Data preview"), kept)
    nothing_hidden()
    run("SELECT r.manager, to_char(b.day, 'YYYY-MM') AS month, count(*) AS n, sum(b.price) AS total, avg(price) AS mean, min(mail) AS mail\n"
        "FROM bookings b JOIN regions r USING (region) GROUP BY 1, 2 ORDER BY 2",
        ["manager", "month", "n", "total", "mean", "mail"],
        [("Nia", f"2025-{month:02}", len(prices), sum(prices), sum(prices) / len(prices), mail) for month in range(1, 13)
         for prices, mail in [([b[3] for b in SEEN if b[1].month == month], min(masked(b[5]) for b in SEEN if b[1].month == month))]])
    run("SELECT b.mail, t.driver, t.fleet, t.started, t.km, b.day, b.price FROM trips t JOIN bookings b ON b.id = t.booking WHERE b.id < 50 ORDER BY t.id",
        ["mail", "driver", "fleet", "started", "km", "day", "price"],
        [(masked(b[5]), "C***", int(t[0] > 400), t[2].isoformat(), t[3], b[1], b[3]) for t in TRIPS for b in SEEN if b[0] == t[1] < 50])
    page.mouse.move(900, 1100)
    picture("lab.png")
    run("SELECT count(*) AS n, count(*) FILTER (WHERE mail LIKE '%@%') AS mails FROM bookings", ["n", "mails"], [(len(SEEN), 0)])
    with page.expect_download() as download:
        part("link", "Download to CSV").click()
    same("CSV", download.value.path().read_text("utf-8-sig"), f"n,mails\n{len(SEEN)},0\n")
    refused("SELECT nope FROM bookings", 'We can\'t seem to resolve the column "nope"')
    refused("SELECT FROM WHERE", "near")
    refused("SELECT * FROM wages", "permission denied for table wages")
    refused("SELECT id, mail::int FROM bookings", 'invalid input syntax for type integer: "')
    refused("DELETE FROM regions", "permission denied for table regions")
    nothing_hidden()
    type_query("SELECT region, sum(price) FROM bookings GROUP BY 1")
    dialog = page.get_by_role("dialog")
    click(part("button", "Estimate cost").first, dialog)
    expect(dialog).to_contain_text("Cost estimate")
    if ALL:
        # FAILS: EXPLAIN has no costs.
        expect(dialog.get_by_role("row", name=re.compile(r"^[\d.]+ [\d.]+$"))).to_be_visible()
    click(dialog.get_by_role("button", name="Close"), dialog, "hidden")
    run("SELECT pg_sleep(100)")
    until("it runs", sleeping, 1)
    click(part("button", "Stop"), toast("Query was stopped"))
    until("it is stopped", sleeping, 0)
    nothing_hidden()
    for kind in ("table", "view"):
        type_query("SELECT id, day, price, mail FROM bookings WHERE id <= 100")
        item = part("menuitem", f"CREATE {kind.upper()} AS")
        click(part("button", "down", exact=True).first, item)
        click(item, dialog)
        dialog.get_by_role("textbox").fill(f"early_{kind}")
        click(dialog.get_by_role("button", name="Create"), dialog, "hidden")
        expect(part("tabpanel", "Results")).to_contain_text(f"{kind.title()} [early_{kind}] was created")
        with psycopg2.connect(user="analyst", password=PASSWORD) as analyst, analyst.cursor() as reader:
            reader.execute(f"SELECT * FROM sales.early_{kind} ORDER BY id")
            same(kind, reader.fetchall(), [(b[0], b[1], b[3], masked(b[5])) for b in SEEN if b[0] <= 100])


def popover():
    return page.get_by_role("tooltip").filter(has=part("button", "Save"))


def pane(name):
    """Results or samples, below the chart."""
    panel = part("tabpanel", name)
    if not panel.is_visible():
        click(part("tab", name), panel)
    return panel


def drop(control):
    click(page.locator(f"[data-test={control}]").get_by_text(re.compile("^Drop ")), popover())
    return popover()


def keep(box):
    click(box.get_by_role("button", name="Save"), box, "hidden")


def column(control, name):
    box = drop(control)
    box.get_by_role("tab", name="Simple").click()
    choose(box.get_by_role("combobox"), name)
    keep(box)


def metric(name, aggregate):
    box = drop("metrics")
    box.get_by_role("tab", name="Simple").click()
    choose(box.get_by_role("combobox", name="Select column"), name)
    choose(box.get_by_role("combobox", name="Select aggregate options"), aggregate)
    keep(box)


GRAINS = {  # What a time becomes.
    "PT1S": lambda t: t,
    "PT5S": lambda t: t.replace(second=t.second // 5 * 5),
    "PT30S": lambda t: t.replace(second=t.second // 30 * 30),
    "PT1M": lambda t: t.replace(second=0),
    "PT5M": lambda t: t.replace(second=0, minute=t.minute // 5 * 5),
    "PT10M": lambda t: t.replace(second=0, minute=t.minute // 10 * 10),
    "PT15M": lambda t: t.replace(second=0, minute=t.minute // 15 * 15),
    "PT30M": lambda t: t.replace(second=0, minute=t.minute // 30 * 30),
    "PT1H": lambda t: t.replace(second=0, minute=0),
    "P1D": lambda t: datetime.datetime(t.year, t.month, t.day),
    "P1W": lambda t: datetime.datetime(t.year, t.month, t.day) - datetime.timedelta(t.weekday()),
    "P1M": lambda t: datetime.datetime(t.year, t.month, 1),
    "P3M": lambda t: datetime.datetime(t.year, (t.month - 1) // 3 * 3 + 1, 1),
    "P1Y": lambda t: datetime.datetime(t.year, 1, 1),
}
UTC = datetime.timezone.utc


def joined():
    """A query becomes a dataset, over lake and warehouse: its rows, then groups of them; then what a chart may ask, by the API."""
    global page
    query = "SELECT t.id, b.mail, t.driver, t.started, t.km, t.fleet, b.price, b.customer, b.day FROM trips t LEFT JOIN bookings b ON b.id = t.booking"
    expect(run(query)).to_contain_text("800 rows")
    dialog = page.get_by_role("dialog")
    click(part("button", "Save dataset"), dialog)
    dialog.get_by_role("textbox", name="Dataset name").fill("joined")
    laboratory = page
    with page.expect_popup() as opened:
        dialog.get_by_role("button", name="Save & Explore").click()
    page = opened.value
    page.set_viewport_size({"width": 1800, "height": 1200})
    expect(page.get_by_role("table")).to_contain_text("C***")
    results = pane("Results")
    visible = {booking[0]: booking for booking in SEEN}
    Row = collections.namedtuple("Row", "id mail driver started km fleet price customer day")
    all_rows = []
    for number, booking, started, km, _ in TRIPS:
        _, day, _, price, customer, mail = visible.get(booking, [None] * 6)
        all_rows.append(Row(number, mail and masked(mail), "C***", started, km, int(number > 400), price, customer, day and f"{day} 00:00:00"))
    some_of(results, all_rows)
    page.get_by_text("Aggregate", exact=True).click()
    column("groupby", "fleet")
    column("groupby", "started")
    choose(part("combobox", "Time Grain"), "Quarter")
    metric("km", "SUM")
    metric("mail", "COUNT_DISTINCT")
    metric("price", "MAX")
    box = drop("metrics")
    box.get_by_role("tab", name="Custom SQL").click()
    box.locator(".ace_text-input").focus()
    page.keyboard.insert_text("percentile_cont(0.5) WITHIN GROUP (ORDER BY km)")
    keep(box)
    part("button", "Update chart").click()
    groups = {}
    for row in all_rows:
        groups.setdefault((str(GRAINS["P3M"](row.started)), row.fleet), []).append(row)
    wanted = sorted([*key, sum(row.km for row in group), len({row.mail for row in group} - {None}), max(row.price for row in group if row.price is not None),
                     statistics.median(row.km for row in group)] for key, group in groups.items())
    until("groups", lambda: sorted(numbers(grid(results))[1]), [[shown(value) for value in row] for row in wanted])
    nothing_hidden()
    # By the API, as Explore asks it: all time grains, conditions, expressions. Clicked they would be the same requests.
    headers = {"X-CSRFToken": page.request.get(f"{address}/api/v1/security/csrf_token/").json()["result"], "Referer": address}
    dataset = page.request.get(f"{address}/api/v1/dataset/?q=(filters:!((col:table_name,opr:eq,value:joined)))").json()["ids"][0]

    def ask(**query):
        answer = page.request.post(f"{address}/api/v1/chart/data", headers=headers, data={
            "datasource": {"id": dataset, "type": "table"}, "result_format": "json", "result_type": "full", "queries": [{"row_limit": 5000, **query}]})
        leaks.extend(HIDDEN.findall(answer.text()))
        assert answer.ok, f"{query}\n{answer.text()}"
        return [list(row.values()) for row in answer.json()["result"][0]["data"]]

    kilometres = {"expressionType": "SIMPLE", "column": {"column_name": "km"}, "aggregate": "SUM", "label": "km"}
    for grain, truncated in GRAINS.items():
        axis = {"columnType": "BASE_AXIS", "timeGrain": grain, "sqlExpression": "started", "label": "started", "expressionType": "SQL"}
        sums = {}
        for trip in TRIPS:
            begin = truncated(trip[2]).replace(tzinfo=UTC).timestamp() * 1000
            sums[begin] = sums.get(begin, 0) + trip[3]
        same(grain, sorted(ask(columns=[axis], metrics=[kilometres])), sorted([begin, total] for begin, total in sums.items()))

    def expression(sql):
        return {"expressionType": "SQL", "sqlExpression": sql, "label": sql}

    for name, operator, value, holds in [
            ("km", "==", 3, lambda row: row.km == 3), ("km", "NOT IN", [1.5, 3], lambda row: row.km not in (1.5, 3)), ("km", ">=", 6, lambda row: row.km >= 6),
            ("mail", "IS NULL", None, lambda row: row.mail is None), ("mail", "ILIKE", "B%", lambda row: row.mail == "b***"),
            ("mail", "NOT LIKE", "b%", lambda row: row.mail not in (None, "b***")), ("mail", "LIKE", "%@%", lambda row: False),
            ("customer", "IN", ["Ada of north", None], lambda row: row.customer in ("Ada of north", None)), ("fleet", "IN", ["1"], lambda row: row.fleet == 1),
            ("started", "TEMPORAL_RANGE", "2025-02-01T12:00:00 : 2025-03-01", lambda row: "2025-02-01 12" <= str(row.started) < "2025-03-01"),
            ("day", "TEMPORAL_RANGE", "2025-02-01 : 2025-03-01", lambda row: row.day and "2025-02-01" <= row.day < "2025-03-01"),
            ("day", "==", "2025-01-29", lambda row: row.day == "2025-01-29 00:00:00")]:
        same((name, operator, value), ask(metrics=[expression("COUNT(*)")], filters=[{"col": name, "op": operator, "val": value}]),
             [[sum(bool(holds(row)) for row in all_rows)]])
    for sql, value in [
            ("string_agg(DISTINCT mail, ' ' ORDER BY mail)", "a*** b*** c*** d*** e*** f***"), ("array_agg(DISTINCT fleet)", "[0, 1]"),
            ("sum(km) FILTER (WHERE fleet = 1)", sum(row.km for row in all_rows if row.fleet)), ("sum(sum(km)) OVER ()", sum(row.km for row in all_rows)),
            ("max(started) - min(started)", "366 days 03:53:25"),
            ("percentile_cont(0.7) WITHIN GROUP (ORDER BY price)", 277.44999999999993), ("max(1e300::float8)", 1e300)]:
        same(sql, ask(metrics=[expression(sql)]), [[value]])
    same("rollup", ask(columns=["fleet", expression("CASE WHEN km > 5 THEN 'far' ELSE 'near' END")], metrics=[expression("COUNT(*)")],
                       orderby=[["fleet", True], [expression("COUNT(*)"), False]], extras={"having": "COUNT(*) > 200"}),
         [[fleet, "far", sum(row.km > 5 for row in all_rows if row.fleet == fleet)] for fleet in (0, 1)])
    nothing_hidden()
    page.close()
    page = laboratory


def pivot(bookings, customers):
    """SUM(price) by month and customer."""
    def total(month, customer):
        return sum(b[3] for b in bookings if b[1].month == month and b[4] == customer) or None
    return [[f"2025-{month:02}-01 00:00:00", *(total(month, customer) for customer in customers)] for month in sorted({b[1].month for b in bookings})]


def explore():
    """A dataset of a table and a bar chart of it: time grain, filters with suggested values, series limit, samples; a dashboard."""
    page.goto(f"{address}/dataset/add/")
    choose(part("combobox", "Select database or type to search databases"), "House")
    choose(part("combobox", "Select schema"), "sales")
    choose(part("combobox", "Select table or type to search tables"), "bookings")
    for name, kind in (("day", "DATE"), ("price", "NUMERIC"), ("mail", "TEXT")):
        expect(page.get_by_role("row").filter(has_text=re.compile(rf"^{name}\s*{kind}$"))).to_be_visible()
    bars = part("button", "Bar Chart Bar Chart")
    create = part("button", "Create new chart", disabled=False)
    click(part("button", "Create and explore dataset"), bars)
    click(bars, create)
    click(create, part("combobox", "Series limit"))
    column("x_axis", "day")
    choose(part("combobox", "Time Grain"), "Month")
    metric("price", "SUM")
    column("groupby", "customer")
    part("button", "Create chart").click()
    customers = sorted({booking[4] for booking in SEEN})
    results = pane("Results")
    rows(results, ["day", *customers], pivot(SEEN, customers))
    cursor.execute("SELECT to_char(date_trunc('month', day), 'YYYY-MM-DD HH24:MI:SS'), customer, sum(price) FROM sales.bookings"
                   " WHERE region = 'north' GROUP BY 1, 2")
    told = {row[:2]: row[2] for row in cursor.fetchall()}
    months = pivot(SEEN, customers)
    same("by psycopg2", [[month, *(told.get((month, customer)) for customer in customers)] for month, *_ in months], months)
    picture("chart.png")
    some_of(pane("Samples"), [(b[0], f"{b[1]} 00:00:00", *b[2:5], masked(b[5])) for b in SEEN])
    nothing_hidden()
    # Only some customers: the values are suggested.
    box = drop("adhoc_filters")
    choose(box.get_by_role("combobox", name="Select subject"), "customer")
    box.get_by_role("combobox", name="Comparator option").press("ArrowDown")
    until("suggested", options, customers)
    for customer in customers[1:4]:
        page.locator(OPTIONS).get_by_text(customer, exact=True).click()
    box.get_by_role("tab", name="Simple").click()
    keep(box)
    # Only some months.
    box = popover()
    dates = part("tooltip", re.compile("Edit time range"))
    click(page.locator("[data-test=adhoc_filters]").get_by_text("day (No filter)"), box)
    click(box.get_by_text("No filter").last, dates)
    choose(part("combobox", "Range type"), "Advanced")
    dates.get_by_role("textbox").nth(0).fill("2025-02-01")
    dates.get_by_role("textbox").nth(1).fill("2025-06-01")
    expect(dates).to_contain_text("2025-02-01 ≤ col < 2025-06-01")
    click(dates.get_by_role("button", name="APPLY"), dates, "hidden")
    keep(box)
    part("button", "Update chart").click()
    pane("Results")
    some = [b for b in SEEN if 2 <= b[1].month <= 5]
    rows(results, ["day", *customers[1:4]], pivot([b for b in some if b[4] in customers[1:4]], customers[1:4]))
    # The five greatest of all customers, the others together.
    page.locator("[data-test=adhoc_filters] [data-test=remove-control-button]").last.click()
    choose(part("combobox", "Series limit"), "5")
    part("button", "Update chart").click()
    totals = {customer: sum(b[3] for b in some if b[4] == customer) for customer in customers}
    five = sorted(sorted(customers, key=totals.get)[-5:])
    rows(results, ["day", *five], pivot([b for b in some if b[4] in five], five))
    tick(page.locator("[data-test=control-item]").filter(has_text="Group remaining").get_by_role("checkbox"))
    part("button", "Update chart").click()
    sums = pivot([(*b[:4], b[4] if b[4] in five else "Others") for b in some], [*five, "Others"])
    rows(results, ["day", *five, "Others"], sums)
    # It is saved, and shown by a dashboard.
    dialog = part("dialog", "Save chart")
    click(part("button", "save Save"), dialog)
    dialog.get_by_placeholder("Name").fill("Money by month")
    choose(dialog.get_by_role("combobox", name="Select a dashboard"), "Money")
    menu = part("button", "More Options")
    item = part("menuitem", "Drill to detail")
    detail = part("dialog", re.compile("Drill to detail"))
    click(dialog.get_by_role("button", name="Save & go to dashboard"), menu)
    page.locator("canvas").first.wait_for()
    click(menu, item)
    click(item, detail)
    expect(detail).to_contain_text(f"{len(some)} rows")
    for text in (some[0][4], masked(some[0][5])):
        expect(detail.get_by_text(text, exact=True).first).to_be_visible()
    nothing_hidden()


environment = {key: value for key, value in os.environ.items() if not key.startswith("PG") or key == "PGSSLMODE"}
home = pathlib.Path(tempfile.mkdtemp())
lake = pathlib.Path(LAKE or home, "superset_trips")
shutil.rmtree(lake, ignore_errors=True)
environment |= {"SUPERSET_HOME": str(home), "SUPERSET_CONFIG_PATH": str(pathlib.Path(__file__).with_name("superset_config.py")), "FLASK_APP": "superset",
                "SCARF_ANALYTICS": "false", "HOME": str(home)}
server = None
leaks = []
signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
try:
    prepare()
    superset("db", "upgrade")
    superset("fab", "create-admin", "--username=admin", "--password=admin", "--firstname=A", "--lastname=B", "--email=a@b.example")
    superset("init")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    log = open(home / "log", "wb")
    server = subprocess.Popen(
        [pathlib.Path(sys.executable).parent / "gunicorn", f"--bind=127.0.0.1:{port}", "--worker-class=gthread", "--threads=8", "--timeout=300",
         "--graceful-timeout=3", "superset.app:create_app()"], env=environment, stdout=log, stderr=log)
    for _ in range(600):
        try:
            urllib.request.urlopen(f"{address}/health").close()
            break
        except OSError:
            assert server.poll() is None, (home / "log").read_text()
            time.sleep(0.5)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), slow_mo=50, args=[
            "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
            "--disable-sync", "--disable-dev-shm-usage", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"])
        page = browser.new_page(viewport={"width": 1800, "height": 1200})
        page.context.set_default_timeout(60000)
        expect.set_options(timeout=60000)

        def answered(request):
            response = request.response()
            if response and re.search("json|html|csv", response.headers.get("content-type", "")) and response.status // 100 != 3:
                try:
                    leaks.extend(HIDDEN.findall(response.text()))
                except Error:  # another page was opened meanwhile
                    leaks.extend(re.findall("/sqllab/execute|/chart/data|/samples|/values", response.url))

        page.context.on("requestfinished", answered)
        try:
            for step in (login, connect, upload, lab, joined, explore):
                step()
        except BaseException:
            picture("failure.png")
            raise
        browser.close()
    clean()
except BaseException:
    if server:
        print("".join((home / "log").read_text(errors="replace").splitlines(keepends=True)[-60:]), file=sys.stderr)
    raise
finally:
    if server:
        server.terminate()
        server.wait()
    shutil.rmtree(lake, ignore_errors=True)
    shutil.rmtree(home)
