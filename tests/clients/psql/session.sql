-- psql: connection, copy from the client, expanded and aligned output, several statements, positions of errors.
\set ON_ERROR_STOP on
\conninfo
CREATE TABLE s (a int, b text);
\copy s from pstdin csv
1,x
2,
\.
SELECT * FROM s ORDER BY a;
BEGIN;
INSERT INTO s VALUES (3, 'z');
ROLLBACK;
SELECT count(*) FROM s \gx
\set ON_ERROR_STOP off
SELECT nope FROM s;
SELECT 1 AS one \; SELECT 2 AS two;
