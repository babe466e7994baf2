-- A tour. `boathouse demo` runs it on a fresh server; by hand, on an empty server that may read the files:
--   psql -v lake=file:///path/to/sql/example/data/ -f sql/example/tour.sql
\set flights :lake 'flights/'
\set weather :lake 'weather.csv.gz'
\set planes :lake 'planes.json'
\set airlines :lake 'airlines.csv'
\set airports :lake 'airports.csv'
\set bookings :lake 'bookings.csv'

\echo The lake: files that somebody else wrote. Columns and partitions are found.
CREATE SCHEMA lake;
CREATE EXTERNAL TABLE lake.flights STORED AS PARQUET LOCATION :'flights';
CREATE EXTERNAL TABLE lake.weather STORED AS CSV LOCATION :'weather';
CREATE EXTERNAL TABLE lake.planes STORED AS JSON LOCATION :'planes';
SELECT month, count(*) AS flights, count(DISTINCT dest) AS destinations FROM lake.flights GROUP BY month ORDER BY month;

\echo The warehouse: tables with transactions, loaded by COPY.
BEGIN;
CREATE TABLE airlines (carrier text NOT NULL, name text NOT NULL);
CREATE TABLE airports (faa text NOT NULL, name text, lat float8, lon float8, tzone text);
CREATE TABLE bookings (id int GENERATED ALWAYS AS IDENTITY, carrier text, flight int, month int, day int, passenger text, card text, price numeric(8,2));
COPY airlines FROM :'airlines' WITH (FORMAT csv, HEADER);
COPY airports FROM :'airports' WITH (FORMAT csv, HEADER);
COPY bookings (carrier, flight, month, day, passenger, card, price) FROM :'bookings' WITH (FORMAT csv, HEADER);
COMMIT;
SELECT count(*) AS bookings, sum(price) AS revenue FROM bookings;

\echo Lake and warehouse in one query: which airlines fly late?
SELECT a.name, count(*) AS flights, sum(f.arr_delay) / count(*) AS minutes_late
  FROM lake.flights f JOIN airlines a ON a.carrier = f.carrier
 GROUP BY a.name HAVING count(*) > 2000 ORDER BY minutes_late DESC LIMIT 5;

\echo An analyst may see bookings of one airline, without card numbers, and no price at all.
CREATE ROLE analyst;
GRANT USAGE ON SCHEMA lake TO analyst;
GRANT SELECT (id, carrier, flight, month, day, passenger, card) ON bookings TO analyst;
GRANT SELECT ON lake.flights, airlines TO analyst;
ALTER TABLE bookings ENABLE ROW LEVEL SECURITY;
CREATE POLICY united ON bookings TO analyst USING (carrier = 'UA');
CREATE MASKING POLICY card_number WITH (card text) USING ('****-****-****-' || right(card, 4));
ATTACH MASKING POLICY card_number ON bookings (card) TO ROLE analyst;

\echo The same holds for files in the lake.
ALTER TABLE lake.flights ENABLE ROW LEVEL SECURITY;
CREATE POLICY united ON lake.flights TO analyst USING (carrier = 'UA');
CREATE MASKING POLICY tail WITH (tail text) USING ('hidden');
ATTACH MASKING POLICY tail ON lake.flights (tailnum) TO ROLE analyst;

SET ROLE analyst;
SELECT id, carrier, passenger, card FROM bookings ORDER BY id LIMIT 3;
SELECT carrier, tailnum, count(*) FROM lake.flights GROUP BY carrier, tailnum;

\echo A column that was not granted is refused, whatever the query.
SELECT sum(price) FROM bookings;

\echo And the plan shows no more than the rows do.
EXPLAIN SELECT passenger FROM bookings WHERE month = 7;
RESET ROLE;
