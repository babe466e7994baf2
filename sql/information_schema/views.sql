-- Views of information_schema (ISO/IEC 9075-11), as queries over pg_catalog. Output columns are matched by name with
-- those of relations.tsv and get their types; columns that a query does not name are NULL.

CREATE VIEW information_schema_catalog_name AS
SELECT current_database() AS catalog_name;

CREATE VIEW applicable_roles AS
SELECT a.rolname AS grantee, b.rolname AS role_name, CASE WHEN m.admin_option THEN 'YES' ELSE 'NO' END AS is_grantable
FROM pg_auth_members m
JOIN pg_authid a ON m.member = a.oid
JOIN pg_authid b ON m.roleid = b.oid
WHERE pg_has_role(a.oid, 'USAGE');

CREATE VIEW administrable_role_authorizations AS
SELECT grantee, role_name, is_grantable FROM information_schema.applicable_roles WHERE is_grantable = 'YES';

CREATE VIEW enabled_roles AS
SELECT a.rolname AS role_name FROM pg_authid a WHERE pg_has_role(a.oid, 'USAGE');

CREATE VIEW character_sets AS
SELECT 'UTF8' AS character_set_name, 'UCS' AS character_repertoire, 'UTF8' AS form_of_use,
       current_database() AS default_collate_catalog, 'pg_catalog' AS default_collate_schema,
       'C' AS default_collate_name;

CREATE VIEW collations AS
SELECT current_database() AS collation_catalog, n.nspname AS collation_schema, c.collname AS collation_name,
       'NO PAD' AS pad_attribute
FROM pg_collation c JOIN pg_namespace n ON c.collnamespace = n.oid;

CREATE VIEW schemata AS
SELECT current_database() AS catalog_name, n.nspname AS schema_name, u.rolname AS schema_owner
FROM pg_namespace n JOIN pg_authid u ON n.nspowner = u.oid
WHERE pg_has_role(n.nspowner, 'USAGE') OR has_schema_privilege(n.oid, 'CREATE, USAGE');

CREATE VIEW tables AS
SELECT current_database() AS table_catalog, n.nspname AS table_schema, c.relname AS table_name,
       CASE WHEN c.relpersistence = 't' THEN 'LOCAL TEMPORARY' WHEN c.relkind = 'v' THEN 'VIEW' WHEN c.relkind = 'f' THEN 'FOREIGN' ELSE 'BASE TABLE' END AS table_type,
       CASE WHEN c.relkind IN ('r', 'p') THEN 'YES' ELSE 'NO' END AS is_insertable_into, 'NO' AS is_typed
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'v', 'f', 'p')
  AND (pg_has_role(c.relowner, 'USAGE')
       OR has_table_privilege(c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')
       OR has_any_column_privilege(c.oid, 'SELECT, INSERT, UPDATE, REFERENCES'));

CREATE VIEW columns AS
SELECT current_database() AS table_catalog, n.nspname AS table_schema, c.relname AS table_name,
       a.attname AS column_name, a.attnum AS ordinal_position,
       CASE WHEN (pg_has_role(c.relowner, 'USAGE') OR has_column_privilege(c.oid, a.attnum, 'SELECT'))
             AND a.attgenerated = '' THEN pg_get_expr(d.adbin, d.adrelid) END AS column_default,
       CASE WHEN a.attnotnull OR a.typnotnull THEN 'NO' ELSE 'YES' END AS is_nullable,
       CASE WHEN t.typelem <> 0 AND t.typlen = -1 THEN 'ARRAY' WHEN nt.nspname <> 'pg_catalog' THEN 'USER-DEFINED'
            ELSE format_type(a.atttypid, NULL) END AS data_type,
       CASE WHEN a.atttypid IN (1042, 1043) AND a.atttypmod > 0 THEN a.atttypmod - 4 END AS character_maximum_length,
       CASE WHEN a.atttypid IN (25, 1042, 1043)
            THEN CASE WHEN a.atttypmod > 0 THEN 4 * (a.atttypmod - 4) ELSE 1073741824 END
            END AS character_octet_length,
       CASE a.atttypid WHEN 21 THEN 16 WHEN 23 THEN 32 WHEN 20 THEN 64 WHEN 700 THEN 24 WHEN 701 THEN 53
                       WHEN 1700 THEN CASE WHEN a.atttypmod > 0 THEN (a.atttypmod - 4) / 65536 END
                       END AS numeric_precision,
       CASE WHEN a.atttypid IN (20, 21, 23, 700, 701) THEN 2 WHEN a.atttypid = 1700 THEN 10
            END AS numeric_precision_radix,
       CASE WHEN a.atttypid IN (20, 21, 23) THEN 0
            WHEN a.atttypid = 1700 AND a.atttypmod > 0 THEN (a.atttypmod - 4) % 2048 END AS numeric_scale,
       CASE WHEN a.atttypid = 1082 THEN 0 WHEN a.atttypid IN (1083, 1114, 1184, 1186, 1266)
            THEN CASE WHEN a.atttypmod < 0 THEN 6 ELSE a.atttypmod END END AS datetime_precision,
       CASE WHEN co.collname IS NOT NULL THEN current_database() END AS collation_catalog,
       CASE WHEN co.collname IS NOT NULL THEN 'pg_catalog' END AS collation_schema, co.collname AS collation_name,
       CASE WHEN a.domain_name IS NOT NULL THEN current_database() END AS domain_catalog, a.domain_schema, a.domain_name,
       current_database() AS udt_catalog, nt.nspname AS udt_schema, t.typname AS udt_name,
       CAST(a.attnum AS text) AS dtd_identifier, 'NO' AS is_self_referencing,
       CASE WHEN a.attidentity IN ('a', 'd') THEN 'YES' ELSE 'NO' END AS is_identity,
       CASE a.attidentity WHEN 'a' THEN 'ALWAYS' WHEN 'd' THEN 'BY DEFAULT' END AS identity_generation,
       CAST(s.seqstart AS text) AS identity_start, CAST(s.seqincrement AS text) AS identity_increment,
       CAST(s.seqmax AS text) AS identity_maximum, CAST(s.seqmin AS text) AS identity_minimum,
       CASE WHEN s.seqcycle THEN 'YES' ELSE 'NO' END AS identity_cycle, CASE WHEN a.attgenerated <> '' THEN 'ALWAYS' ELSE 'NEVER' END AS is_generated,
       CASE WHEN a.attgenerated <> '' THEN pg_get_expr(d.adbin, d.adrelid) END AS generation_expression,
       CASE WHEN c.relkind IN ('r', 'p') THEN 'YES' ELSE 'NO' END AS is_updatable
FROM (SELECT x.attrelid, x.attname, x.attnum, x.attnotnull, x.attidentity, x.attgenerated, x.attcollation, x.attisdropped,
             y.typtype = 'd' AND y.typnotnull AS typnotnull,
             CASE WHEN y.typtype = 'd' THEN y.typbasetype ELSE x.atttypid END AS atttypid,
             CASE WHEN y.typtype = 'd' THEN y.typtypmod ELSE x.atttypmod END AS atttypmod,
             CASE WHEN y.typtype = 'd' THEN y.typname END AS domain_name,
             CASE WHEN y.typtype = 'd' THEN ny.nspname END AS domain_schema
        FROM pg_attribute x JOIN pg_type y ON y.oid = x.atttypid JOIN pg_namespace ny ON ny.oid = y.typnamespace) a
JOIN pg_class c ON a.attrelid = c.oid
JOIN pg_namespace n ON c.relnamespace = n.oid
JOIN pg_type t ON a.atttypid = t.oid
JOIN pg_namespace nt ON t.typnamespace = nt.oid
LEFT JOIN pg_attrdef d ON a.attrelid = d.adrelid AND a.attnum = d.adnum
LEFT JOIN pg_collation co ON a.attcollation = co.oid AND co.collname <> 'default'
LEFT JOIN pg_depend dep ON dep.refobjid = a.attrelid AND dep.refobjsubid = a.attnum AND dep.deptype = 'i'
LEFT JOIN pg_sequence s ON s.seqrelid = dep.objid
WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'v', 'f', 'p')
  AND (pg_has_role(c.relowner, 'USAGE')
       OR has_column_privilege(c.oid, a.attnum, 'SELECT, INSERT, UPDATE, REFERENCES'));

CREATE VIEW views AS
SELECT current_database() AS table_catalog, n.nspname AS table_schema, c.relname AS table_name,
       CASE WHEN pg_has_role(c.relowner, 'USAGE') THEN pg_get_viewdef(c.oid) END AS view_definition,
       'NONE' AS check_option, 'NO' AS is_updatable, 'NO' AS is_insertable_into, 'NO' AS is_trigger_updatable,
       'NO' AS is_trigger_deletable, 'NO' AS is_trigger_insertable_into
FROM pg_class c JOIN pg_namespace n ON c.relnamespace = n.oid
WHERE c.relkind = 'v'
  AND (pg_has_role(c.relowner, 'USAGE')
       OR has_table_privilege(c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')
       OR has_any_column_privilege(c.oid, 'SELECT, INSERT, UPDATE, REFERENCES'));

CREATE VIEW sequences AS
SELECT current_database() AS sequence_catalog, n.nspname AS sequence_schema, c.relname AS sequence_name,
       format_type(s.seqtypid, NULL) AS data_type, 64 AS numeric_precision, 2 AS numeric_precision_radix,
       0 AS numeric_scale, CAST(s.seqstart AS text) AS start_value, CAST(s.seqmin AS text) AS minimum_value,
       CAST(s.seqmax AS text) AS maximum_value, CAST(s.seqincrement AS text) AS increment,
       CASE WHEN s.seqcycle THEN 'YES' ELSE 'NO' END AS cycle_option
FROM pg_sequence s
JOIN pg_class c ON c.oid = s.seqrelid
JOIN pg_namespace n ON c.relnamespace = n.oid
WHERE NOT EXISTS (SELECT 1 FROM pg_depend WHERE objid = c.oid AND deptype = 'i')
  AND (pg_has_role(c.relowner, 'USAGE') OR has_sequence_privilege(c.oid, 'SELECT, UPDATE, USAGE'));

CREATE VIEW role_table_grants AS
SELECT * FROM information_schema.table_privileges
WHERE grantor IN (SELECT role_name FROM information_schema.enabled_roles)
   OR grantee IN (SELECT role_name FROM information_schema.enabled_roles);

CREATE VIEW role_column_grants AS
SELECT * FROM information_schema.column_privileges
WHERE grantor IN (SELECT role_name FROM information_schema.enabled_roles)
   OR grantee IN (SELECT role_name FROM information_schema.enabled_roles);

CREATE VIEW foreign_data_wrappers AS
SELECT current_database() AS foreign_data_wrapper_catalog, w.fdwname AS foreign_data_wrapper_name,
       u.rolname AS authorization_identifier, 'c' AS foreign_data_wrapper_language
FROM pg_foreign_data_wrapper w JOIN pg_authid u ON u.oid = w.fdwowner;

CREATE VIEW foreign_servers AS
SELECT current_database() AS foreign_server_catalog, s.srvname AS foreign_server_name,
       current_database() AS foreign_data_wrapper_catalog, w.fdwname AS foreign_data_wrapper_name,
       u.rolname AS authorization_identifier
FROM pg_foreign_server s
JOIN pg_foreign_data_wrapper w ON w.oid = s.srvfdw
JOIN pg_authid u ON u.oid = s.srvowner;

CREATE VIEW foreign_tables AS
SELECT current_database() AS foreign_table_catalog, n.nspname AS foreign_table_schema,
       c.relname AS foreign_table_name, current_database() AS foreign_server_catalog,
       s.srvname AS foreign_server_name
FROM pg_foreign_table t
JOIN pg_foreign_server s ON s.oid = t.ftserver
JOIN pg_class c ON c.oid = t.ftrelid
JOIN pg_namespace n ON c.relnamespace = n.oid
WHERE pg_has_role(c.relowner, 'USAGE')
   OR has_table_privilege(c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')
   OR has_any_column_privilege(c.oid, 'SELECT, INSERT, UPDATE, REFERENCES');

CREATE VIEW table_constraints AS
SELECT current_database() AS constraint_catalog, n.nspname AS constraint_schema, c.conname AS constraint_name,
       current_database() AS table_catalog, nr.nspname AS table_schema, r.relname AS table_name,
       CASE c.contype WHEN 'c' THEN 'CHECK' WHEN 'f' THEN 'FOREIGN KEY' WHEN 'p' THEN 'PRIMARY KEY'
                      WHEN 'u' THEN 'UNIQUE' END AS constraint_type,
       CASE WHEN c.condeferrable THEN 'YES' ELSE 'NO' END AS is_deferrable,
       CASE WHEN c.condeferred THEN 'YES' ELSE 'NO' END AS initially_deferred,
       CASE WHEN c.conenforced THEN 'YES' ELSE 'NO' END AS enforced,
       CASE WHEN c.contype = 'u' THEN CASE WHEN i.indnullsnotdistinct THEN 'NO' ELSE 'YES' END END AS nulls_distinct
FROM pg_constraint c
JOIN pg_namespace n ON n.oid = c.connamespace
JOIN pg_class r ON r.oid = c.conrelid
JOIN pg_namespace nr ON nr.oid = r.relnamespace
LEFT JOIN pg_index i ON i.indexrelid = c.conindid
WHERE pg_has_role(r.relowner, 'USAGE')
   OR has_table_privilege(r.oid, 'INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')
   OR has_any_column_privilege(r.oid, 'INSERT, UPDATE, REFERENCES');

CREATE VIEW key_column_usage AS
SELECT current_database() AS constraint_catalog, n.nspname AS constraint_schema, c.conname AS constraint_name,
       current_database() AS table_catalog, nr.nspname AS table_schema, r.relname AS table_name,
       a.attname AS column_name, array_position(c.conkey, a.attnum) AS ordinal_position,
       CASE WHEN c.contype = 'f'
            THEN array_position(u.indkey, c.confkey[array_position(c.conkey, a.attnum)])
            END AS position_in_unique_constraint
FROM pg_constraint c
JOIN pg_namespace n ON n.oid = c.connamespace
JOIN pg_class r ON r.oid = c.conrelid
JOIN pg_namespace nr ON nr.oid = r.relnamespace
JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum = ANY (c.conkey)
LEFT JOIN pg_index u ON u.indexrelid = c.conindid
WHERE c.contype IN ('p', 'u', 'f')
  AND (pg_has_role(r.relowner, 'USAGE')
       OR has_column_privilege(r.oid, a.attnum, 'SELECT, INSERT, UPDATE, REFERENCES'));

CREATE VIEW constraint_column_usage AS
SELECT current_database() AS table_catalog, nr.nspname AS table_schema, r.relname AS table_name,
       a.attname AS column_name, current_database() AS constraint_catalog, n.nspname AS constraint_schema,
       c.conname AS constraint_name
FROM pg_constraint c
JOIN pg_namespace n ON n.oid = c.connamespace
JOIN pg_class r ON r.oid = CASE c.contype WHEN 'f' THEN c.confrelid ELSE c.conrelid END
JOIN pg_namespace nr ON nr.oid = r.relnamespace
JOIN pg_attribute a ON a.attrelid = r.oid
WHERE ((c.contype = 'f' AND a.attnum = ANY (c.confkey)) OR (c.contype <> 'f' AND a.attnum = ANY (c.conkey)))
  AND pg_has_role(r.relowner, 'USAGE');

CREATE VIEW constraint_table_usage AS
SELECT current_database() AS table_catalog, nr.nspname AS table_schema, r.relname AS table_name,
       current_database() AS constraint_catalog, n.nspname AS constraint_schema, c.conname AS constraint_name
FROM pg_constraint c
JOIN pg_namespace n ON n.oid = c.connamespace
JOIN pg_class r ON r.oid = CASE c.contype WHEN 'f' THEN c.confrelid ELSE c.conrelid END
JOIN pg_namespace nr ON nr.oid = r.relnamespace
WHERE c.contype IN ('f', 'p', 'u') AND pg_has_role(r.relowner, 'USAGE');

CREATE VIEW check_constraints AS
SELECT current_database() AS constraint_catalog, n.nspname AS constraint_schema, c.conname AS constraint_name,
       '(' || pg_get_expr(c.conbin, c.conrelid) || ')' AS check_clause
FROM pg_constraint c
JOIN pg_namespace n ON n.oid = c.connamespace
JOIN pg_class r ON r.oid = c.conrelid
WHERE c.contype = 'c' AND pg_has_role(r.relowner, 'USAGE');

CREATE VIEW referential_constraints AS
SELECT current_database() AS constraint_catalog, n.nspname AS constraint_schema, c.conname AS constraint_name,
       current_database() AS unique_constraint_catalog, nu.nspname AS unique_constraint_schema,
       u.conname AS unique_constraint_name,
       CASE c.confmatchtype WHEN 'f' THEN 'FULL' WHEN 'p' THEN 'PARTIAL' WHEN 's' THEN 'NONE' END AS match_option,
       CASE c.confupdtype WHEN 'c' THEN 'CASCADE' WHEN 'n' THEN 'SET NULL' WHEN 'd' THEN 'SET DEFAULT'
                          WHEN 'r' THEN 'RESTRICT' WHEN 'a' THEN 'NO ACTION' END AS update_rule,
       CASE c.confdeltype WHEN 'c' THEN 'CASCADE' WHEN 'n' THEN 'SET NULL' WHEN 'd' THEN 'SET DEFAULT'
                          WHEN 'r' THEN 'RESTRICT' WHEN 'a' THEN 'NO ACTION' END AS delete_rule
FROM pg_constraint c
JOIN pg_namespace n ON n.oid = c.connamespace
JOIN pg_class r ON r.oid = c.conrelid
LEFT JOIN pg_constraint u ON u.conindid = c.conindid AND u.contype IN ('p', 'u')
LEFT JOIN pg_namespace nu ON nu.oid = u.connamespace
WHERE c.contype = 'f'
  AND (pg_has_role(r.relowner, 'USAGE')
       OR has_table_privilege(r.oid, 'INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')
       OR has_any_column_privilege(r.oid, 'INSERT, UPDATE, REFERENCES'));
