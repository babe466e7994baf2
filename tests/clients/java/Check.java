// Compares what a client got with what PostgreSQL answers, and tells each difference.

import java.lang.reflect.Array;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Objects;
import java.util.Properties;
import java.util.TimeZone;
import java.util.stream.Stream;

final class Check {
    /** Asks for what is known to fail, too. */
    static final boolean ALL = "1".equals(System.getenv("ALL"));
    /** Asks for times and where errors come from. */
    private static final boolean TRACE = System.getenv("TRACE") != null;
    private static volatile boolean failed;

    interface Action {
        void run() throws Exception;
    }

    interface Part {
        void run(Connection connection) throws Exception;
    }

    interface Source<T> {
        T get() throws Exception;
    }

    static void fail(String statement, String what) {
        failed = true;
        System.err.println(statement + ": " + what);
    }

    /** Wants the very value. Arrays are as lists, bytes as their digits. */
    static void same(String statement, Object got, Object wanted) {
        Object left = plain(got), right = plain(wanted);
        if (!Objects.equals(left, right)) fail(statement, "got " + show(left) + ", wanted " + show(right));
    }

    private static String show(Object value) {
        return value + (value == null || value instanceof String || value instanceof List ? "" : " (" + value.getClass().getSimpleName() + ")");
    }

    static Object plain(Object value) {
        if (value instanceof byte[] bytes) return "0x" + HexFormat.of().formatHex(bytes);
        if (value instanceof java.sql.Array array) {
            try {
                return plain(array.getArray());
            } catch (SQLException error) {
                throw new IllegalStateException(error);
            }
        }
        if (value instanceof Iterable<?> all) {
            var list = new ArrayList<>();
            all.forEach(one -> list.add(plain(one)));
            return list;
        }
        if (value == null || !value.getClass().isArray()) return value;
        var list = new ArrayList<>();
        for (int at = 0; at < Array.getLength(value); at++) list.add(plain(Array.get(value, at)));
        return list;
    }

    /** For what should not fail. */
    static <T> T quiet(Source<T> source) {
        try {
            return source.get();
        } catch (Exception error) {
            throw new IllegalStateException(error);
        }
    }

    static List<Object> list(Object... values) {
        return Arrays.asList(values);
    }

    /** Wants no error. */
    static void ok(String statement, Action action) {
        try {
            action.run();
        } catch (Throwable error) {
            fail(statement, error.toString());
            if (TRACE) error.printStackTrace();
        }
    }

    /** Wants an error whose SQLSTATE is this. It is returned, or an empty one. */
    static SQLException state(String statement, String wanted, Action action) {
        try {
            action.run();
            fail(statement, "no error, wanted " + wanted);
        } catch (Throwable error) {
            for (Throwable cause = error; cause != null; cause = cause.getCause()) {
                if (!(cause instanceof SQLException found)) continue;
                if (!wanted.equals(found.getSQLState())) fail(statement, "got " + found.getSQLState() + " (" + found.getMessage() + "), wanted " + wanted);
                return found;
            }
            fail(statement, "got " + error + ", wanted " + wanted);
        }
        return new SQLException();
    }

    static String environment(String name, String otherwise) {
        return Objects.requireNonNullElse(System.getenv(name), otherwise);
    }

    static String url() {
        return "jdbc:postgresql://" + environment("PGHOST", "127.0.0.1") + ":" + environment("PGPORT", "5432") + "/" + environment("PGDATABASE", "boathouse");
    }

    static String user() {
        return environment("PGUSER", "boathouse");
    }

    static String password() {
        return environment("PGPASSWORD", "");
    }

    /** A connection with these properties, each as name=value. */
    static Connection connect(String... more) throws SQLException {
        var properties = new Properties();
        Stream.concat(Stream.of("sslmode=disable", "user=" + user(), "password=" + password()), Stream.of(more))
            .map(one -> one.split("=", 2)).forEach(one -> properties.setProperty(one[0], one[1]));
        return DriverManager.getConnection(url(), properties);
    }

    /** Runs a part with a connection of its own. */
    static void part(String name, Part part, String... more) {
        long start = System.nanoTime();
        ok(name, () -> {
            try (var connection = connect(more)) {
                part.run(connection);
            }
        });
        if (TRACE) System.err.printf("%s %s: %d ms%n", name, List.of(more), (System.nanoTime() - start) / 1_000_000);
    }

    /** Carries out what has no parameters; what it changed. */
    static int run(Connection connection, String sql) throws SQLException {
        try (var statement = connection.createStatement()) {
            statement.execute(sql);
            return statement.getUpdateCount();
        }
    }

    static PreparedStatement bind(PreparedStatement statement, Object... values) throws SQLException {
        for (int at = 0; at < values.length; at++) statement.setObject(at + 1, values[at]);
        return statement;
    }

    static int update(Connection connection, String sql, Object... values) throws SQLException {
        try (var statement = bind(connection.prepareStatement(sql), values)) {
            return statement.executeUpdate();
        }
    }

    /** The rows of a query, each a list; those of one column are values. */
    static List<Object> rows(Connection connection, String sql, Object... values) throws SQLException {
        if (values.length == 0) {
            try (Statement statement = connection.createStatement()) {
                return rows(statement.executeQuery(sql));
            }
        }
        try (var statement = bind(connection.prepareStatement(sql), values)) {
            return rows(statement.executeQuery());
        }
    }

    static List<Object> rows(ResultSet result, String... columns) throws SQLException {
        var rows = new ArrayList<Object>();
        int count = columns.length == 0 ? result.getMetaData().getColumnCount() : columns.length;
        while (result.next()) {
            var row = new ArrayList<Object>();
            for (int at = 0; at < count; at++) row.add(plain(columns.length == 0 ? result.getObject(at + 1) : result.getObject(columns[at])));
            rows.add(count == 1 ? row.get(0) : row);
        }
        result.close();
        return rows;
    }

    /** Wants these rows of a query. */
    static void query(Connection connection, List<?> wanted, String sql, Object... values) {
        ok(sql, () -> same(sql, rows(connection, sql, values), wanted));
    }

    /** Ends the program. */
    static void done() {
        System.exit(failed ? 1 : 0);
    }

    static {
        TimeZone.setDefault(TimeZone.getTimeZone("UTC"));
    }
}
