-- psql 18: the backslash commands that describe objects, roles, rights and settings.
CREATE SCHEMA sales;
CREATE TABLE t (id int NOT NULL, name varchar(10) DEFAULT 'x', n numeric(10,2), at timestamptz, i int GENERATED ALWAYS AS IDENTITY);
COMMENT ON TABLE t IS 'a table';
COMMENT ON COLUMN t.name IS 'its name';
CREATE TABLE sales.orders (id serial, region text, tags text[]);
CREATE VIEW v AS SELECT id, name FROM t;
CREATE EXTERNAL TABLE files STORED AS CSV LOCATION :'lake';
CREATE ROLE staff;
CREATE ROLE analyst LOGIN PASSWORD 'x' IN ROLE staff;
GRANT SELECT ON t TO analyst;
GRANT SELECT (region) ON sales.orders TO analyst;
GRANT USAGE ON SCHEMA sales TO analyst;
ALTER TABLE sales.orders ENABLE ROW LEVEL SECURITY;
CREATE POLICY near ON sales.orders FOR SELECT TO analyst USING (region = 'eu');
\l
\dn+
\dt
\dt+
\dt sales.*
\d
\d t
\d+ t
\d sales.orders
\d v
\d+ v
\d files
\d t_i_seq
\dv
\det
\du
\dp
\dp sales.orders
\dx
\df
\ds
\sv v
