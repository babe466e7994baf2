package main

import (
	"database/sql"
	"time"

	"clients/check"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
)

// The adapter to database/sql.
func adapter(pool *pgxpool.Pool) {
	database := stdlib.OpenDBFromPool(pool)
	defer database.Close()
	database.SetMaxIdleConns(0)
	query := "SELECT i2, n, t, b, tz, u, j, ia, d, id FROM gx_types WHERE id = $1"
	rows, err := database.Query(query, 1)
	if check.OK(query, err) {
		kinds, _ := rows.ColumnTypes()
		got := []any{}
		for _, kind := range kinds {
			got = append(got, kind.DatabaseTypeName())
		}
		check.Equal(query, got, []any{"INT2", "NUMERIC", "TEXT", "BYTEA", "TIMESTAMPTZ", "UUID", "JSON", "_INT4", "DATE", "INT4"})
		precision, scale, ok := kinds[1].DecimalSize()
		check.Equal(query, []any{precision, scale, ok}, []any{int64(12), int64(3), true})
		var i2 int16
		var n, t, u, j string
		var b []byte
		var tz, d time.Time
		var id int
		var ia []int32
		if rows.Next() {
			check.OK(query, rows.Scan(&i2, &n, &t, &b, &tz, &u, &j, pgtype.NewMap().SQLScanner(&ia), &d, &id))
			check.Equal(query, []any{i2, n, t, b, u, j, ia, id}, []any{int16(-2), "-12.345", "é'\\", []byte{0, 255}, "00000000-0000-0000-0000-000000000007", `{"a" : 1}`, []int32{1, -2, 3}, 1})
		}
		check.OK(query, rows.Close())
	}
	transaction, err := database.BeginTx(background, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
	if check.OK("BEGIN", err) {
		_, err = transaction.Exec("DELETE FROM gx_types")
		check.State("DELETE in a read-only transaction", err, "25006")
		check.OK("ROLLBACK", transaction.Rollback())
	}
	insert, err := database.Prepare("INSERT INTO gx_items (name, tags, at) VALUES ($1, $2, $3)")
	if check.OK("prepare", err) {
		result, err := insert.Exec("sql", []string{"x"}, sql.NullTime{})
		if check.OK("INSERT", err) {
			affected, _ := result.RowsAffected()
			check.Equal("INSERT", affected, int64(1))
		}
		_, err = insert.Exec("sql", nil, time.Now())
		check.State("INSERT", err, "23505")
		check.OK("close", insert.Close())
	}
	simple, err := pgxpool.New(background, "default_query_exec_mode=simple_protocol")
	if check.OK("connect", err) {
		var count int
		check.OK("count", stdlib.OpenDBFromPool(simple).QueryRow("SELECT count(*) FROM gx_items WHERE name = $1", "sql").Scan(&count))
		check.Equal("count", count, 1)
		simple.Close()
	}
	check.Equal("no rows", database.QueryRow("SELECT id FROM gx_items WHERE name = $1", "nobody").Scan(new(int)), sql.ErrNoRows)
	connection, err := database.Conn(background)
	if check.OK("connection", err) {
		check.OK("raw", connection.Raw(func(driver any) error {
			value(driver.(*stdlib.Conn).Conn(), int32(5), "SELECT $1::int", pgx.QueryExecModeExec, 5)
			return nil
		}))
		check.OK("close", connection.Close())
	}
}
