// Part of Jdbc: DatabaseMetaData, ResultSetMetaData and ParameterMetaData.

import java.sql.Connection;
import java.sql.DatabaseMetaData;
import java.sql.ParameterMetaData;
import java.sql.ResultSet;
import java.sql.ResultSetMetaData;
import java.sql.SQLException;
import java.sql.Types;
import java.util.Collections;
import java.util.List;

import org.postgresql.PGResultSetMetaData;

final class JdbcMetadata {
    interface Source {
        ResultSet get() throws SQLException;
    }

    /** Wants these columns of the rows that metadata gives. */
    static void rows(String what, Source source, List<?> wanted, String... columns) {
        Check.ok(what, () -> Check.same(what, Check.rows(source.get(), columns), wanted));
    }

    static void has(String what, Source source, List<?> wanted, String... columns) {
        Check.ok(what, () -> {
            var got = Check.rows(source.get(), columns);
            for (Object row : wanted) {
                Object first = row instanceof List<?> list ? list.get(0) : row;
                if (!got.contains(row)) Check.fail(what, "got " + got.stream().filter(one -> one instanceof List<?> list && first.equals(list.get(0))).toList() + ", wanted " + row);
            }
        });
    }

    static void metadata(Connection connection) throws SQLException {
        drop(connection);
        for (String sql : List.of(
            "CREATE SCHEMA jm_other",
            "CREATE TYPE jm_mood AS ENUM ('sad', 'ok')", "CREATE DOMAIN jm_positive AS int CHECK (VALUE > 0)",
            "CREATE TABLE jm_author (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name varchar(40) NOT NULL, mood jm_mood DEFAULT 'ok', tags text[], CONSTRAINT jm_author_name UNIQUE (name))",
            "COMMENT ON TABLE jm_author IS 'who writes'", "COMMENT ON COLUMN jm_author.name IS 'how she is called'",
            "CREATE TABLE jm_book (id serial, part int, author_id bigint NOT NULL CONSTRAINT jm_book_author REFERENCES jm_author ON DELETE CASCADE,"
                + " price numeric(10,2) DEFAULT 1.5, sold bool DEFAULT false, made timestamptz(3), code char(3), ti time, d date,"
                + " b bytea, u uuid, j jsonb, f real, g double precision, i2 int2, n numeric, t text, iv interval, p jm_positive, half numeric GENERATED ALWAYS AS (price / 2) STORED, PRIMARY KEY (id, part))",
            "CREATE TABLE jm_page (id int PRIMARY KEY, book int, part int, CONSTRAINT jm_page_book FOREIGN KEY (book, part) REFERENCES jm_book (id, part) ON UPDATE SET NULL ON DELETE SET NULL)",
            "CREATE INDEX jm_book_price ON jm_book (price DESC, code)", "CREATE VIEW jm_view AS SELECT a.name, b.price FROM jm_author a JOIN jm_book b ON b.author_id = a.id",
            "CREATE TABLE jm_other.\"Odd_Name\" (\"Id\" int PRIMARY KEY)", "CREATE SEQUENCE jm_seq", "CREATE TEMP TABLE jm_temp (a int)")) Check.run(connection, sql);
        var meta = connection.getMetaData();
        String catalog = connection.getCatalog();
        Check.same("the product", List.of(meta.getDatabaseProductName(), meta.getDatabaseMajorVersion() >= 14, meta.getUserName(), meta.getURL(),
            meta.getIdentifierQuoteString(), meta.getMaxColumnNameLength()), List.of("PostgreSQL", true, Check.user(), Check.url(), "\"", 63));
        Check.same("what there is", List.of(meta.supportsTransactions(), meta.supportsSavepoints(), meta.getDefaultTransactionIsolation(),
            meta.supportsGetGeneratedKeys(), meta.isReadOnly(), meta.getMaxConnections() > 0), List.of(true, true, 2, true, false, true));
        Check.same("keywords", meta.getSQLKeywords().contains("ilike"), true);
        tables(meta, catalog);
        columns(meta);
        keys(meta, catalog);
        others(meta, catalog);
        results(connection);
        parameters(connection);
        drop(connection);
    }

    static void drop(Connection connection) throws SQLException {
        for (String sql : List.of("DROP VIEW IF EXISTS jm_view", "DROP TABLE IF EXISTS jm_page, jm_book, jm_author, jm_other.\"Odd_Name\"",
            "DROP SEQUENCE IF EXISTS jm_seq", "DROP DOMAIN IF EXISTS jm_positive", "DROP TYPE IF EXISTS jm_mood", "DROP SCHEMA IF EXISTS jm_other")) Check.run(connection, sql);
    }

    static void tables(DatabaseMetaData meta, String catalog) {
        rows("getTables", () -> meta.getTables(null, "public", "jm\\_%", new String[] {"TABLE", "VIEW"}), List.of(
            Check.list(catalog, "public", "jm_author", "TABLE", "who writes"), Check.list(catalog, "public", "jm_book", "TABLE", null),
            Check.list(catalog, "public", "jm_page", "TABLE", null), Check.list(catalog, "public", "jm_view", "VIEW", null)),
            "TABLE_CAT", "TABLE_SCHEM", "TABLE_NAME", "TABLE_TYPE", "REMARKS");
        rows("getTables of all types", () -> meta.getTables(catalog, null, "jm\\_%", null),
            List.of(List.of("INDEX", "jm_author_name"), List.of("INDEX", "jm_author_pkey"), List.of("INDEX", "jm_book_pkey"), List.of("INDEX", "jm_book_price"),
            List.of("INDEX", "jm_page_pkey"),
            List.of("SEQUENCE", "jm_author_id_seq"), List.of("SEQUENCE", "jm_book_id_seq"), List.of("SEQUENCE", "jm_seq"), List.of("TABLE", "jm_author"),
            List.of("TABLE", "jm_book"), List.of("TABLE", "jm_page"), List.of("TEMPORARY TABLE", "jm_temp"), List.of("VIEW", "jm_view")), "TABLE_TYPE", "TABLE_NAME");
        rows("getTables of an odd name", () -> meta.getTables(null, "jm_other", "Odd\\_Name", null), List.of("Odd_Name"), "TABLE_NAME");
        has("getTables of the system", () -> meta.getTables(null, "pg_catalog", "pg_cl%", new String[] {"SYSTEM TABLE"}), List.of("pg_class"), "TABLE_NAME");
        has("getSchemas", meta::getSchemas, List.of("jm_other", "public", "pg_catalog", "information_schema"), "TABLE_SCHEM");
        rows("getSchemas by name", () -> meta.getSchemas(null, "jm%"), List.of(Check.list("jm_other", catalog)), "TABLE_SCHEM", "TABLE_CATALOG");
        has("getCatalogs", meta::getCatalogs, List.of(catalog), "TABLE_CAT");
        rows("getTableTypes", meta::getTableTypes, List.of("FOREIGN TABLE", "INDEX", "MATERIALIZED VIEW", "PARTITIONED INDEX", "PARTITIONED TABLE", "SEQUENCE",
            "SYSTEM INDEX", "SYSTEM TABLE", "SYSTEM TOAST INDEX", "SYSTEM TOAST TABLE", "SYSTEM VIEW", "TABLE", "TEMPORARY INDEX",
            "TEMPORARY SEQUENCE", "TEMPORARY TABLE", "TEMPORARY VIEW", "TYPE", "VIEW"), "TABLE_TYPE");
    }

    static void columns(DatabaseMetaData meta) {
        rows("getColumns of jm_author", () -> meta.getColumns(null, "public", "jm_author", null), List.of(
            Check.list("id", Types.BIGINT, "int8", 19, 0, 0, "NO", null, "YES", "NO", 1), Check.list("name", Types.VARCHAR, "varchar", 40, 0, 0, "NO", "how she is called", "NO", "NO", 2),
            Check.list("mood", Types.VARCHAR, "jm_mood", 2147483647, 0, 1, "YES", null, "NO", "NO", 3),
            Check.list("tags", Types.ARRAY, "_text", 2147483647, 0, 1, "YES", null, "NO", "NO", 4)),
            "COLUMN_NAME", "DATA_TYPE", "TYPE_NAME", "COLUMN_SIZE", "DECIMAL_DIGITS", "NULLABLE", "IS_NULLABLE", "REMARKS", "IS_AUTOINCREMENT", "IS_GENERATEDCOLUMN", "ORDINAL_POSITION");
        rows("getColumns of jm_book", () -> meta.getColumns(null, null, "jm_book", "%"), List.of(
            Check.list("id", Types.INTEGER, "serial", 10, 0, "YES", "NO"), Check.list("part", Types.INTEGER, "int4", 10, 0, "NO", "NO"),
            Check.list("author_id", Types.BIGINT, "int8", 19, 0, "NO", "NO"), Check.list("price", Types.NUMERIC, "numeric", 10, 2, "NO", "NO"),
            Check.list("sold", Types.BIT, "bool", 1, 0, "NO", "NO"), Check.list("made", Types.TIMESTAMP, "timestamptz", 32, 3, "NO", "NO"),
            Check.list("code", Types.CHAR, "bpchar", 3, 0, "NO", "NO"), Check.list("ti", Types.TIME, "time", 15, 6, "NO", "NO"),
            Check.list("d", Types.DATE, "date", 13, 0, "NO", "NO"),
            Check.list("b", Types.BINARY, "bytea", 2147483647, 0, "NO", "NO"), Check.list("u", Types.OTHER, "uuid", 2147483647, 0, "NO", "NO"),
            Check.list("j", Types.OTHER, "jsonb", 2147483647, 0, "NO", "NO"), Check.list("f", Types.REAL, "float4", 8, 8, "NO", "NO"),
            Check.list("g", Types.DOUBLE, "float8", 17, 17, "NO", "NO"),
            Check.list("i2", Types.SMALLINT, "int2", 5, 0, "NO", "NO"), Check.list("n", Types.NUMERIC, "numeric", 0, null, "NO", "NO"),
            Check.list("t", Types.VARCHAR, "text", 2147483647, 0, "NO", "NO"), Check.list("iv", Types.OTHER, "interval", 49, 6, "NO", "NO"),
            Check.list("p", Types.DISTINCT, "jm_positive", 10, 0, "NO", "NO"),
            Check.list("half", Types.NUMERIC, "numeric", 0, null, "NO", "YES")), "COLUMN_NAME", "DATA_TYPE", "TYPE_NAME", "COLUMN_SIZE", "DECIMAL_DIGITS", "IS_AUTOINCREMENT", "IS_GENERATEDCOLUMN");
        rows("COLUMN_DEF", () -> meta.getColumns(null, "public", "jm_book", "%i%"), Check.list("nextval('jm_book_id_seq'::regclass)", null, "1.5", null, null, null), "COLUMN_DEF");
        rows("COLUMN_DEF of an enumeration", () -> meta.getColumns(null, "public", "jm_author", "mood"), List.of("'ok'::jm_mood"), "COLUMN_DEF");
        rows("COLUMN_DEF of an expression", () -> meta.getColumns(null, "public", "jm_book", "half"), List.of("(price / (2)::numeric)"), "COLUMN_DEF");
        rows("getColumns of a view", () -> meta.getColumns(null, "public", "jm_view", null),
            List.of(List.of("name", "varchar", 40, "YES"), List.of("price", "numeric", 10, "YES")), "COLUMN_NAME", "TYPE_NAME", "COLUMN_SIZE", "IS_NULLABLE");
        rows("getColumns by name", () -> meta.getColumns(null, "%", "jm\\_%", "%ric%"), List.of(List.of("jm_book", "price"), List.of("jm_view", "price")), "TABLE_NAME", "COLUMN_NAME");
        has("getColumns of pg_class", () -> meta.getColumns(null, "pg_catalog", "pg_class", "rel%"), List.of(List.of("relname", "name"), List.of("relnamespace", "oid")), "COLUMN_NAME", "TYPE_NAME");
    }

    static void keys(DatabaseMetaData meta, String catalog) {
        rows("getPrimaryKeys", () -> meta.getPrimaryKeys(null, "public", "jm_book"), List.of(List.of(catalog, "public", "jm_book", "id", 1, "jm_book_pkey"),
            List.of(catalog, "public", "jm_book", "part", 2, "jm_book_pkey")), "TABLE_CAT", "TABLE_SCHEM", "TABLE_NAME", "COLUMN_NAME", "KEY_SEQ", "PK_NAME");
        rows("getPrimaryKeys of a schema", () -> meta.getPrimaryKeys(null, "jm_other", null), List.of("Id"), "COLUMN_NAME");
        rows("getIndexInfo", () -> meta.getIndexInfo(null, "public", "jm_book", false, true), List.of(
            Check.list(false, "jm_book_pkey", 3, 1, "id", "A", null), Check.list(false, "jm_book_pkey", 3, 2, "part", "A", null),
            Check.list(true, "jm_book_price", 3, 1, "price", "D", null), Check.list(true, "jm_book_price", 3, 2, "code", "A", null)),
            "NON_UNIQUE", "INDEX_NAME", "TYPE", "ORDINAL_POSITION", "COLUMN_NAME", "ASC_OR_DESC", "FILTER_CONDITION");
        rows("getIndexInfo of unique ones", () -> meta.getIndexInfo(catalog, "public", "jm_author", true, false),
            List.of(List.of("jm_author_name", "name"), List.of("jm_author_pkey", "id")), "INDEX_NAME", "COLUMN_NAME");
        String[] key = {"PKTABLE_NAME", "PKCOLUMN_NAME", "FKTABLE_NAME", "FKCOLUMN_NAME", "KEY_SEQ", "UPDATE_RULE", "DELETE_RULE", "FK_NAME", "PK_NAME", "DEFERRABILITY"};
        var book = List.of("jm_author", "id", "jm_book", "author_id", 1, DatabaseMetaData.importedKeyNoAction, DatabaseMetaData.importedKeyCascade, "jm_book_author",
            "jm_author_pkey", DatabaseMetaData.importedKeyNotDeferrable);
        rows("getImportedKeys", () -> meta.getImportedKeys(null, "public", "jm_book"), List.of(book), key);
        rows("getImportedKeys of two columns", () -> meta.getImportedKeys(null, null, "jm_page"), List.of(
            List.of("jm_book", "id", "jm_page", "book", 1, 2, 2, "jm_page_book", "jm_book_pkey", 7), List.of("jm_book", "part", "jm_page", "part", 2, 2, 2, "jm_page_book", "jm_book_pkey", 7)), key);
        rows("getExportedKeys", () -> meta.getExportedKeys(null, "public", "jm_author"), List.of(book), key);
        rows("getCrossReference", () -> meta.getCrossReference(null, "public", "jm_author", null, "public", "jm_book"), List.of(book), key);
        rows("getBestRowIdentifier", () -> meta.getBestRowIdentifier(null, "public", "jm_book", DatabaseMetaData.bestRowSession, false),
            List.of(List.of("id", "int4"), List.of("part", "int4")), "COLUMN_NAME", "TYPE_NAME");
        rows("getVersionColumns", () -> meta.getVersionColumns(null, "public", "jm_book"), List.of("ctid"), "COLUMN_NAME");
    }

    static void others(DatabaseMetaData meta, String catalog) {
        has("getTypeInfo", meta::getTypeInfo, List.of(List.of("int4", Types.INTEGER, false, 0), List.of("serial", Types.INTEGER, true, 0),
            List.of("varchar", Types.VARCHAR, false, 10485760), List.of("numeric", Types.NUMERIC, false, 1000), List.of("_text", Types.ARRAY, false, 0),
            List.of("jsonb", Types.OTHER, false, 0), List.of("jm_mood", Types.VARCHAR, false, 0), List.of("jm_positive", Types.DISTINCT, false, 0)), "TYPE_NAME",
            "DATA_TYPE", "AUTO_INCREMENT", "PRECISION");
        rows("getUDTs", () -> meta.getUDTs(null, "public", "jm\\_%", new int[] {Types.DISTINCT}), List.of(Check.list("jm_positive", Types.DISTINCT, Types.INTEGER)),
            "TYPE_NAME", "DATA_TYPE", "BASE_TYPE");
        has("getTablePrivileges", () -> meta.getTablePrivileges(null, "public", "jm_author"),
            List.of(List.of("jm_author", Check.user(), Check.user(), "SELECT", "YES"), List.of("jm_author", Check.user(), Check.user(), "INSERT", "YES")), "TABLE_NAME",
            "GRANTOR", "GRANTEE", "PRIVILEGE", "IS_GRANTABLE");
        has("getColumnPrivileges", () -> meta.getColumnPrivileges(null, "public", "jm_author", "name"), List.of(List.of("name", Check.user(), "UPDATE", "YES")),
            "COLUMN_NAME", "GRANTEE", "PRIVILEGE", "IS_GRANTABLE");
        if (Check.ALL) { // FAILS: pg_proc has few of the functions.
            rows("getFunctions", () -> meta.getFunctions(null, "pg_catalog", "to_char"),
                Collections.nCopies(8, List.of("pg_catalog", "to_char", 1)), "FUNCTION_SCHEM", "FUNCTION_NAME", "FUNCTION_TYPE");
            rows("getFunctionColumns", () -> meta.getFunctionColumns(null, "pg_catalog", "lower", null),
                List.of(List.of("returnValue", "anyelement", 0), List.of("$1", "anyrange", 1), List.of("returnValue", "anyelement", 0), List.of("$1", "anymultirange", 1),
                List.of("returnValue", "text", 0), List.of("$1", "text", 1)), "COLUMN_NAME", "TYPE_NAME", "ORDINAL_POSITION");
            rows("getProcedures", () -> meta.getProcedures(null, "pg_catalog", "lower"), List.of(), "PROCEDURE_NAME");
            rows("getProcedureColumns", () -> meta.getProcedureColumns(null, "pg_catalog", "pi", null), List.of(List.of("pi", "returnValue", "float8")), "PROCEDURE_NAME", "COLUMN_NAME", "TYPE_NAME");
        }
        rows("getClientInfoProperties", meta::getClientInfoProperties, List.of("ApplicationName"), "NAME");
    }

    static void results(Connection connection) throws SQLException {
        try (var statement = connection.prepareStatement("SELECT a.id, a.name AS n, b.price, b.id, b.made, b.sold, b.t, b.code, a.name || 'x' AS x, count(*) OVER () AS c, b.p, a.mood"
            + " FROM jm_author a JOIN jm_book b ON b.author_id = a.id WHERE a.id = ?")) {
            for (int time = 0; time < 2; time++) {
                ResultSetMetaData meta = statement.getMetaData();
                if (time == 1) {
                    statement.setLong(1, 1);
                    meta = statement.executeQuery().getMetaData();
                }
                Object[][] wanted = {
                    {"id", "id", "jm_author", "bigserial", Types.BIGINT, 19, 0, ResultSetMetaData.columnNoNulls, true, "java.lang.Long", true},
                    {"n", "name", "jm_author", "varchar", Types.VARCHAR, 40, 0, ResultSetMetaData.columnNoNulls, false, "java.lang.String", false},
                    {"price", "price", "jm_book", "numeric", Types.NUMERIC, 10, 2, ResultSetMetaData.columnNullable, false, "java.math.BigDecimal", true},
                    {"id", "id", "jm_book", "serial", Types.INTEGER, 10, 0, ResultSetMetaData.columnNoNulls, true, "java.lang.Integer", true},
                    {"made", "made", "jm_book", "timestamptz", Types.TIMESTAMP, 32, 3, ResultSetMetaData.columnNullable, false, "java.sql.Timestamp", false},
                    {"sold", "sold", "jm_book", "bool", Types.BIT, 1, 0, ResultSetMetaData.columnNullable, false, "java.lang.Boolean", false},
                    {"t", "t", "jm_book", "text", Types.VARCHAR, 2147483647, 0, ResultSetMetaData.columnNullable, false, "java.lang.String", false},
                    {"code", "code", "jm_book", "bpchar", Types.CHAR, 3, 0, ResultSetMetaData.columnNullable, false, "java.lang.String", false},
                    {"x", "", "", "text", Types.VARCHAR, 2147483647, 0, ResultSetMetaData.columnNullableUnknown, false, "java.lang.String", false},
                    {"c", "", "", "int8", Types.BIGINT, 19, 0, ResultSetMetaData.columnNullableUnknown, false, "java.lang.Long", true},
                    {"p", "p", "jm_book", "int4", Types.INTEGER, 10, 0, ResultSetMetaData.columnNullable, false, "java.lang.Integer", true},
                    {"mood", "mood", "jm_author", "jm_mood", Types.VARCHAR, 2147483647, 0, ResultSetMetaData.columnNullable, false, "java.lang.String", false}};
                Check.same("getColumnCount", meta.getColumnCount(), wanted.length);
                var more = (PGResultSetMetaData) meta;
                for (int at = 1; at <= wanted.length; at++) {
                    Check.same("ResultSetMetaData", List.of(meta.getColumnLabel(at), more.getBaseColumnName(at), more.getBaseTableName(at), meta.getColumnTypeName(at),
                        meta.getColumnType(at), meta.getPrecision(at), meta.getScale(at), meta.isNullable(at), meta.isAutoIncrement(at), meta.getColumnClassName(at),
                        meta.isSigned(at)), wanted[at - 1]);
                    Check.same("schema", List.of(more.getBaseSchemaName(at), meta.getTableName(at), meta.isSearchable(at)),
                        List.of(wanted[at - 1][1].equals("") ? "" : "public", wanted[at - 1][2], true));
                }
            }
        }
    }

    static void parameters(Connection connection) {
        for (Object[] one : new Object[][] {
            {"SELECT 1 FROM jm_book WHERE id = ? AND price > ? AND code = ? AND made < ? AND u = ?", List.of("int4", "numeric", "bpchar", "timestamptz", "uuid"),
                List.of(Types.INTEGER, Types.NUMERIC, Types.CHAR, Types.TIMESTAMP, Types.OTHER),
            List.of("java.lang.Integer", "java.math.BigDecimal", "java.lang.String", "java.sql.Timestamp", "java.util.UUID")},
            {"INSERT INTO jm_author (name, mood, tags) VALUES (?, ?, ?)", List.of("varchar", "jm_mood", "_text"), List.of(Types.VARCHAR, Types.VARCHAR, Types.ARRAY),
                List.of("java.lang.String", "java.lang.String", "java.sql.Array")},
            {"UPDATE jm_book SET sold = ?, b = ?, d = ? WHERE id IN (?, ?) AND t LIKE ?", List.of("bool", "bytea", "date", "int4", "int4", "text"),
                List.of(Types.BIT, Types.BINARY, Types.DATE, Types.INTEGER, Types.INTEGER, Types.VARCHAR),
            List.of("java.lang.Boolean", "[B", "java.sql.Date", "java.lang.Integer", "java.lang.Integer", "java.lang.String")},
            {"SELECT ?::int8, ? || 'x', lower(?), abs(?::float8) LIMIT ?", List.of("int8", "text", "text", "float8", "int8"),
                List.of(Types.BIGINT, Types.VARCHAR, Types.VARCHAR, Types.DOUBLE, Types.BIGINT),
            List.of("java.lang.Long", "java.lang.String", "java.lang.String", "java.lang.Double", "java.lang.Long")},
        }) Check.ok((String) one[0], () -> {
            try (var statement = connection.prepareStatement((String) one[0])) {
                ParameterMetaData meta = statement.getParameterMetaData();
                var got = new Object[3][meta.getParameterCount()];
                for (int at = 0; at < got[0].length; at++) {
                    got[0][at] = meta.getParameterTypeName(at + 1);
                    got[1][at] = meta.getParameterType(at + 1);
                    got[2][at] = meta.getParameterClassName(at + 1);
                }
                Check.same((String) one[0], got, List.of(one[1], one[2], one[3]));
            }
        });
    }
}
