// HikariCP over pgjdbc: several threads, set-up and clean return of connections, validation, waiting and time-out,
// what a terminated session leaves, schema, isolation and read only, suspension, eviction, a wrong password.

import java.sql.Connection;
import java.sql.SQLException;
import java.sql.SQLTransientConnectionException;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.Executors;
import java.util.function.Consumer;
import java.util.stream.IntStream;

import com.zaxxer.hikari.HikariConfig;
import com.zaxxer.hikari.HikariDataSource;
import org.postgresql.PGConnection;

final class Pool {
    interface Use {
        void run(HikariDataSource pool) throws Exception;
    }

    /** Runs a part with a pool, then closes it; its sessions end with it. */
    static void pool(String name, Consumer<HikariConfig> more, Use use) {
        Check.ok(name, () -> {
            var config = new HikariConfig();
            config.setJdbcUrl(Check.url());
            config.setUsername(Check.user());
            config.setPassword(Check.password());
            config.setPoolName(name);
            config.setMaximumPoolSize(4);
            config.addDataSourceProperty("sslmode", "disable");
            config.addDataSourceProperty("ApplicationName", "jp " + name);
            more.accept(config);
            try (var pool = new HikariDataSource(config)) {
                use.run(pool);
                Check.same(name + ": connections in use", pool.getHikariPoolMXBean().getActiveConnections(), 0);
            }
            Check.same(name + ": sessions", sessions(name, 0), 0);
        });
    }

    /** How many sessions the pool has, once they are as many as wanted. */
    static int sessions(String name, int wanted) throws Exception {
        try (var connection = Check.connect()) {
            for (int time = 0;; time++) {
                int count = ((Long) Check.rows(connection, "SELECT count(*) FROM pg_stat_activity WHERE application_name = ?", "jp " + name).get(0)).intValue();
                if (count == wanted || time == 100) return count;
                Thread.sleep(50);
            }
        }
    }

    static int pid(Connection connection) throws SQLException {
        return connection.unwrap(PGConnection.class).getBackendPID();
    }

    static void threads(HikariDataSource pool) throws Exception {
        var executor = Executors.newFixedThreadPool(8);
        var work = IntStream.range(0, 8).<Callable<Integer>>mapToObj(thread -> () -> {
            for (int time = 0; time < 10; time++) {
                try (var connection = pool.getConnection()) {
                    connection.setAutoCommit(false);
                    Check.update(connection, "UPDATE jp_count SET n = n + 1 WHERE id = ?", thread % 2);
                    Check.update(connection, "INSERT INTO jp_log (thread, time) VALUES (?, ?)", thread, time);
                    if (time % 5 == 4) connection.rollback();
                    else connection.commit();
                    if (time == 7) Check.state("an error in a thread", "22012", () -> Check.rows(connection, "SELECT 1 / ?", 0));
                }
            }
            return thread;
        }).toList();
        for (var done : executor.invokeAll(work)) done.get();
        executor.shutdown();
        try (var connection = pool.getConnection()) {
            Check.query(connection, List.of(List.of(0, 32L), List.of(1, 32L)), "SELECT id, n FROM jp_count ORDER BY id");
            Check.query(connection, List.of(List.of(64L, 8L)), "SELECT count(*), count(DISTINCT thread) FROM jp_log");
        }
        Check.same("the size of the pool", pool.getHikariPoolMXBean().getTotalConnections() <= 4, true);
    }

    /** A connection comes back as it was set up. */
    static void returned(HikariDataSource pool) throws SQLException {
        try (var connection = pool.getConnection()) {
            Check.query(connection, List.of("42"), "SHOW extra.init");
            connection.setAutoCommit(false);
            connection.setReadOnly(true);
            connection.setTransactionIsolation(Connection.TRANSACTION_REPEATABLE_READ);
            connection.setSchema("pg_catalog");
            connection.setNetworkTimeout(Runnable::run, 12345);
            Check.query(connection, List.of("on"), "SHOW transaction_read_only");
        }
        try (var connection = pool.getConnection()) {
            connection.setAutoCommit(false);
            Check.update(connection, "UPDATE jp_count SET n = -1");
        }
        try (var connection = pool.getConnection()) {
            Check.same("what was set", Check.list(connection.getAutoCommit(), connection.isReadOnly(), connection.getTransactionIsolation(), connection.getSchema(),
                connection.getNetworkTimeout()), Check.list(true, false, Connection.TRANSACTION_READ_COMMITTED, "public", 0));
            Check.query(connection, List.of(0L), "SELECT count(*) FROM jp_count WHERE n = -1");
        }
    }

    static void terminated(HikariDataSource pool) throws Exception {
        Check.same("minimumIdle", sessions("terminated", 3), 3);
        try (var connection = pool.getConnection(); var other = Check.connect()) {
            int pid = pid(connection);
            Check.query(other, List.of(true), "SELECT pg_terminate_backend(?)", pid);
            Check.state("a terminated session", "57P01", () -> {
                for (int time = 0; time < 100; time++) Check.rows(connection, "SELECT 1");
            });
            Check.same("isClosed", connection.isClosed(), true);
        }
        try (var connection = Check.connect()) {
            Check.same("all terminated", new HashSet<>(Check.rows(connection, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = ?",
                "jp terminated")), java.util.Set.of(true));
        }
        for (int time = 0; time < 5; time++) {
            try (var connection = pool.getConnection()) {
                Check.query(connection, List.of(time), "SELECT ?::int", time);
            }
        }
        Check.same("minimumIdle again", sessions("terminated", 3), 3);
    }

    static void waiting(HikariDataSource pool) throws Exception {
        var held = new ArrayList<Connection>();
        for (int time = 0; time < 2; time++) held.add(pool.getConnection());
        try {
            pool.getConnection().close();
            Check.fail("a third connection", "no error");
        } catch (SQLTransientConnectionException error) {
            Check.same("a third connection", error.getMessage().contains("request timed out"), true);
        }
        int first = pid(held.get(0));
        held.remove(0).close();
        try (var connection = pool.getConnection()) {
            Check.same("the one that came back", pid(connection), first);
            pool.evictConnection(connection);
        }
        try (var connection = pool.getConnection()) {
            Check.same("an evicted one is gone", pid(connection) == first, false);
        }
        held.remove(0).close();
        var bean = pool.getHikariPoolMXBean();
        bean.softEvictConnections();
        bean.suspendPool();
        var executor = Executors.newSingleThreadExecutor();
        var later = executor.submit(() -> {
            try (var connection = pool.getConnection()) {
                return Check.rows(connection, "SELECT 1");
            }
        });
        Thread.sleep(100);
        Check.same("suspended", later.isDone(), false);
        bean.resumePool();
        Check.same("resumed", later.get(), List.of(1));
        executor.shutdown();
    }

    /** Rights and places that all connections of a pool have. */
    static void settings(HikariDataSource pool) throws SQLException {
        try (var connection = pool.getConnection()) {
            Check.same("settings", Check.list(connection.getAutoCommit(), connection.isReadOnly(), connection.getSchema(),
                connection.getCatalog()), Check.list(true, true, "jp_schema", Check.environment("PGDATABASE", "boathouse")));
            Check.query(connection, List.of("here"), "SELECT t FROM jp_place");
            Check.same("isolation", connection.getTransactionIsolation(), Connection.TRANSACTION_REPEATABLE_READ);
            connection.setAutoCommit(false);
            Check.query(connection, List.of("repeatable read"), "SHOW transaction_isolation");
            Check.state("read only", "25006", () -> Check.run(connection, "DELETE FROM jp_place"));
        }
        try (var connection = pool.getConnection()) {
            Check.query(connection, List.of("here"), "SELECT t FROM jp_place");
        }
    }

    /** Statements that are prepared at the server, in each connection, in transactions. */
    static void prepared(HikariDataSource pool) throws SQLException {
        for (int time = 0; time < 20; time++) {
            try (var one = pool.getConnection(); var two = pool.getConnection()) {
                for (var connection : List.of(one, two)) Check.query(connection, List.of(List.of(time, "t" + time)), "SELECT ?::int, ?::text", time, "t" + time);
                Check.update(one, "UPDATE jp_count SET n = ?", time);
                if (time == 7) one.commit(); // The others are undone.
            }
        }
        try (var connection = pool.getConnection()) {
            Check.query(connection, List.of(7L), "SELECT n FROM jp_count WHERE id = 0");
            Check.same("isValid", List.of(connection.isValid(2), connection.isWrapperFor(PGConnection.class), connection.getMetaData().getDatabaseProductName()), List.of(true, true, "PostgreSQL"));
        }
    }

    static void set(Connection connection) throws SQLException {
        Check.run(connection, "DROP TABLE IF EXISTS jp_count, jp_log, jp_schema.jp_place");
        Check.run(connection, "DROP SCHEMA IF EXISTS jp_schema");
    }

    public static void main(String[] arguments) {
        System.setProperty("com.zaxxer.hikari.aliveBypassWindowMs", "0"); // Each is tested before it is given out.
        Check.part("set up", connection -> {
            set(connection);
            Check.run(connection, "CREATE TABLE jp_count (id int PRIMARY KEY, n bigint NOT NULL)");
            Check.run(connection, "INSERT INTO jp_count VALUES (0, 0), (1, 0)");
            Check.run(connection, "CREATE TABLE jp_log (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, thread int, time int)");
            Check.run(connection, "CREATE SCHEMA jp_schema");
            Check.run(connection, "CREATE TABLE jp_schema.jp_place (t text)");
            Check.run(connection, "INSERT INTO jp_schema.jp_place VALUES ('here')");
        });
        pool("threads", config -> {}, Pool::threads);
        pool("returned", config -> {
            config.setMaximumPoolSize(1);
            config.setConnectionInitSql("SET extra.init = 42");
            config.setConnectionTestQuery("SELECT 1");
        }, Pool::returned);
        pool("terminated", config -> config.setMinimumIdle(3), Pool::terminated);
        pool("waiting", config -> {
            config.setMaximumPoolSize(2);
            config.setConnectionTimeout(500);
            config.setAllowPoolSuspension(true);
        }, Pool::waiting);
        pool("settings", config -> {
            config.setSchema("jp_schema");
            config.setReadOnly(true);
            config.setTransactionIsolation("TRANSACTION_REPEATABLE_READ");
        }, Pool::settings);
        pool("prepared", config -> {
            config.setJdbcUrl(null);
            config.setDataSourceClassName("org.postgresql.ds.PGSimpleDataSource");
            config.addDataSourceProperty("URL", Check.url());
            config.addDataSourceProperty("prepareThreshold", 1);
            config.setAutoCommit(false);
        }, Pool::prepared);
        Check.state("a wrong password", "28P01", () -> {
            var config = new HikariConfig();
            config.setJdbcUrl(Check.url() + "?sslmode=disable");
            config.setUsername(Check.user());
            config.setPassword("wrong");
            new HikariDataSource(config).close();
        });
        Check.part("DROP", Pool::set);
        Check.done();
    }
}
