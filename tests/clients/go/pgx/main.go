// pgx: every type in every mode of execution, pool, batches, pipelines, nested transactions, errors, cursors, COPY, cancellation.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"sync"
	"time"

	"clients/check"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
)

var background = context.Background()

const columns = "i2, i4, i8, f4, f8, n, ok, t, v, b, d, ti, ts, tz, iv, u, j, jb, ia, ta"

type row struct {
	I2 int16
	I4 int32
	I8 int64
	F4 float32
	F8 float64
	N  pgtype.Numeric
	Ok bool
	T  string
	V  *string
	B  []byte
	D  time.Time
	Ti pgtype.Time
	Ts time.Time
	Tz time.Time
	Iv pgtype.Interval
	U  pgtype.UUID
	J  string
	Jb map[string]any
	Ia []int32
	Ta []*string
}

func text(value string) *string { return &value }

func sample() (row, []any) {
	at := time.Date(2024, 1, 2, 3, 4, 5, 678000000, time.UTC)
	r := row{
		I2: -2, I4: 1 << 30, I8: 1 << 60, F4: 1.5, F8: -2.25, N: pgtype.Numeric{Int: big.NewInt(-12345), Exp: -3, Valid: true}, Ok: true,
		T: "é'\\", V: text("v"), B: []byte{0, 255}, D: at.Truncate(24 * time.Hour), Ti: pgtype.Time{Microseconds: 3723000004, Valid: true},
		Ts: at, Tz: at, Iv: pgtype.Interval{Months: 14, Days: -3, Microseconds: 5000001, Valid: true},
		U: pgtype.UUID{Bytes: [16]byte{15: 7}, Valid: true}, J: `{"a" : 1}`, Jb: map[string]any{"b": []any{1.0, nil}},
		Ia: []int32{1, -2, 3}, Ta: []*string{text("a,b"), nil, text(`"c"`)}}
	return r, []any{r.I2, r.I4, r.I8, r.F4, r.F8, r.N, r.Ok, r.T, r.V, r.B, r.D, r.Ti, r.Ts, r.Tz, r.Iv, r.U, r.J, r.Jb, r.Ia, r.Ta}
}

func (r row) normal() row {
	r.D, r.Ts, r.Tz = r.D.UTC(), r.Ts.UTC(), r.Tz.UTC()
	return r
}

func exec(connection interface {
	Exec(context.Context, string, ...any) (pgconn.CommandTag, error)
}, sql string, arguments ...any) string {
	tag, err := connection.Exec(background, sql, arguments...)
	check.OK(sql, err)
	return tag.String()
}

func value[T any](connection interface {
	QueryRow(context.Context, string, ...any) pgx.Row
}, want T, sql string, arguments ...any) {
	var got T
	if check.OK(sql, connection.QueryRow(background, sql, arguments...).Scan(&got)) {
		check.Equal(sql, got, want)
	}
}

func list[T any](connection interface {
	Query(context.Context, string, ...any) (pgx.Rows, error)
}, want []T, sql string, arguments ...any) {
	rows, _ := connection.Query(background, sql, arguments...)
	got, err := pgx.CollectRows(rows, pgx.RowTo[T])
	if check.OK(sql, err) {
		check.Equal(sql, got, want)
	}
}

// Values of every type, written and read in each mode of execution, read in text and in binary.
func types(pool *pgxpool.Pool) {
	exec(pool, "CREATE TABLE gx_types (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, i2 int2, i4 int4, i8 int8, f4 float4, f8 float8, n numeric(12,3),"+
		" ok bool, t text, v varchar(9), b bytea, d date, ti time, ts timestamp, tz timestamptz, iv interval, u uuid, j json, jb jsonb, ia int[], ta text[])")
	want, arguments := sample()
	insert := "INSERT INTO gx_types (" + columns + ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20) RETURNING id"
	id := int32(0)
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeDescribeExec,
		pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol} {
		if mode == pgx.QueryExecModeExec { // from here on the client does not know the parameter's type
			arguments[17] = `{"b": [1, null]}`
		}
		for range 2 {
			id++
			value(pool, id, insert, append([]any{mode}, arguments...)...)
			formats := []any{mode}
			for _, format := range []int16{pgx.TextFormatCode, pgx.BinaryFormatCode} {
				sql := "SELECT " + columns + " FROM gx_types WHERE id = $1 -- " + mode.String()
				rows, _ := pool.Query(background, sql, append(formats, id)...)
				got, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[row])
				if check.OK(sql, err) {
					check.Equal(sql, got.normal(), want)
				}
				formats = []any{mode, pgx.QueryResultFormats{format}}
				if mode == pgx.QueryExecModeSimpleProtocol {
					break
				}
			}
		}
		nulls := "SELECT $1::int2 IS NULL AND $2::numeric IS NULL AND $3::timestamptz IS NULL AND $4::text[] IS NULL AND $5::jsonb IS NULL AND $6::bytea IS NULL"
		value(pool, true, nulls, mode, nil, pgtype.Numeric{}, (*time.Time)(nil), []string(nil), nil, []byte(nil))
		value(pool, "x7", "SELECT $1::text || $2::int", mode, "x", 7)
		list(pool, []int32{1, 2}, "SELECT id FROM gx_types WHERE id = ANY($1) ORDER BY id", mode, []int32{2, 1, 99})
		list(pool, []int32{2}, "SELECT id FROM gx_types ORDER BY id LIMIT $1 OFFSET $2", mode, 1, 1)
		value(pool, int64(2), "SELECT count(*) FROM gx_types WHERE t = $1 AND tz = $2 AND id <= $3", mode, want.T, want.Tz, 2)
	}
	all := "SELECT * FROM gx_types WHERE false"
	rows, err := pool.Query(background, all)
	if check.OK(all, err) {
		oids := []uint32{}
		for _, field := range rows.FieldDescriptions() {
			oids = append(oids, field.DataTypeOID)
		}
		check.Equal(all, oids, []uint32{23, 21, 23, 20, 700, 701, 1700, 16, 25, 1043, 17, 1082, 1083, 1114, 1184, 1186, 2950, 114, 3802, 1007, 1009})
		n, v := rows.FieldDescriptions()[6], rows.FieldDescriptions()[9]
		check.Equal(all+": attribute of n", n.TableAttributeNumber, uint16(7))
		check.Equal(all+": modifiers", []int32{n.TypeModifier, v.TypeModifier}, []int32{12<<16 + 3 + 4, 13})
		rows.Close()
		value(pool, "gx_types", "SELECT relname::text FROM pg_class WHERE oid = $1", n.TableOID)
	}
	for _, infinite := range []string{"infinity", "-infinity"} {
		value(pool, pgtype.Timestamptz{InfinityModifier: map[string]pgtype.InfinityModifier{"infinity": 1, "-infinity": -1}[infinite], Valid: true},
			"SELECT $1::text::timestamptz", infinite)
	}
	if check.All { // FAILS: numeric has no NaN
		value(pool, pgtype.Numeric{NaN: true, Valid: true}, "SELECT $1::numeric", pgtype.Numeric{NaN: true, Valid: true})
	}
	list(pool, [][][]int32{{{1, 2}, {3, 4}}}, "SELECT $1::int[]", [][]int32{{1, 2}, {3, 4}})
	value(pool, []time.Time{want.D}, "SELECT $1::date[]", []time.Time{want.D})
	value(pool, "10.0.0.1/32", "SELECT $1::inet::text", "10.0.0.1")
	if check.All { // FAILS: there are no ranges
		value(pool, pgtype.Range[pgtype.Int4]{Lower: pgtype.Int4{Int32: 1, Valid: true}, Upper: pgtype.Int4{Int32: 5, Valid: true}, LowerType: 'i', UpperType: 'e', Valid: true},
			"SELECT int4range($1, $2)", 1, 5)
	}
}

// Types of the user's, loaded from the catalog.
func userTypes(pool *pgxpool.Pool) {
	connection, err := pool.Acquire(background)
	if !check.OK("acquire", err) {
		return
	}
	defer connection.Release()
	exec(connection, "CREATE TYPE gx_mood AS ENUM ('sad', 'ok', 'happy')")
	exec(connection, "CREATE TYPE gx_pair AS (name text, size int)")
	exec(connection, "CREATE DOMAIN gx_positive AS int CHECK (VALUE > 0)")
	defer exec(connection, "DROP DOMAIN gx_positive")
	defer exec(connection, "DROP TYPE gx_pair, gx_mood")
	loaded, err := connection.Conn().LoadTypes(background, []string{"gx_mood", "gx_pair", "gx_positive", "_gx_pair", "_gx_mood"})
	if check.OK("LoadTypes", err) {
		connection.Conn().TypeMap().RegisterTypes(loaded)
		type pair struct {
			Name string
			Size int32
		}
		value(connection, pair{"a", 1}, "SELECT $1::gx_pair", pair{"a", 1})
		value(connection, []pair{{"a", 1}, {"b", 2}}, "SELECT $1::gx_pair[]", []pair{{"a", 1}, {"b", 2}})
		value(connection, []string{"ok", "sad"}, "SELECT $1::gx_mood[]", []string{"ok", "sad"})
	}
	for _, name := range []string{"gx_mood", "gx_pair", "gx_positive"} {
		_, err := connection.Conn().LoadType(background, name)
		check.OK("LoadType "+name, err)
	}
	value(connection, "happy", "SELECT max(m) FROM unnest($1::gx_mood[]) m", []string{"happy", "sad"})
	_, err = connection.Exec(background, "SELECT $1::gx_positive", -1)
	check.State("SELECT -1::gx_positive", err, "23514")
	_, err = connection.Exec(background, "SELECT $1::gx_mood", "angry")
	check.State("SELECT 'angry'::gx_mood", err, "22P02")
}

// Statements prepared by name, NamedArgs, generated keys, upserts, and a table that gets another column.
func statements(pool *pgxpool.Pool) {
	exec(pool, "CREATE TABLE gx_items (id bigserial PRIMARY KEY, name text NOT NULL UNIQUE, price numeric(10,2) DEFAULT 1 CHECK (price >= 0), tags text[], meta jsonb,"+
		" twice numeric GENERATED ALWAYS AS (price * 2) STORED, at timestamptz DEFAULT now())")
	connection, err := pool.Acquire(background)
	if !check.OK("acquire", err) {
		return
	}
	defer connection.Release()
	sql := "INSERT INTO gx_items (name, price, meta) VALUES ($1, $2, $3) RETURNING id"
	statement, err := connection.Conn().Prepare(background, "add", sql)
	if check.OK(sql, err) {
		check.Equal(sql, statement.ParamOIDs, []uint32{25, 1700, 3802})
		check.Equal(sql, statement.Fields[0].DataTypeOID, uint32(20))
		for number := int64(1); number <= 3; number++ {
			value(connection, number, "add", fmt.Sprint("item", number), number, map[string]any{"k": number})
		}
		list(connection, []string{"add"}, "SELECT name FROM pg_prepared_statements WHERE name = 'add'")
		check.OK("deallocate", connection.Conn().Deallocate(background, "add"))
		_, err = connection.Conn().PgConn().ExecPrepared(background, "add", nil, nil, nil).Close()
		check.State("EXECUTE add", err, "26000")
	}
	upsert := "INSERT INTO gx_items (name, price) VALUES (@name, @price) ON CONFLICT (name) DO UPDATE SET price = gx_items.price + EXCLUDED.price RETURNING price::float8"
	value(connection, 11.5, upsert, pgx.NamedArgs{"name": "item1", "price": 10.5})
	value(connection, 2.5, upsert, pgx.StrictNamedArgs{"name": "item4", "price": 2.5})
	check.Equal("DO NOTHING", exec(connection, "INSERT INTO gx_items (name) VALUES ($1) ON CONFLICT DO NOTHING", "item1"), "INSERT 0 0")
	exec(connection, "INSERT INTO gx_items (name) VALUES ($1) ON CONFLICT (name) DO UPDATE SET tags = $2", "item2", []string{"a", "b"})
	if check.All { // FAILS: there is no column xmax
		value(connection, false, "INSERT INTO gx_items (name) VALUES ($1) ON CONFLICT (name) DO UPDATE SET price = 2 RETURNING xmax = 0 AS inserted", "item2")
	}
	check.Equal("UPDATE", exec(connection, "UPDATE gx_items SET meta = meta || $1::jsonb, tags = array_append(tags, $2) WHERE name = ANY($3)", `{"z": [1]}`, "c", []string{"item2", "item3"}), "UPDATE 2")
	value(connection, []string{"a", "b", "c"}, "SELECT tags FROM gx_items WHERE meta @> $1::jsonb AND meta->>'k' = $2 AND 'b' = ANY(tags)", map[string]any{"z": []int{1}}, "2")
	value(connection, []string{"a", "b"}, "SELECT ARRAY['a'] || $1", []string{"b"})
	value(connection, map[string]any{"a": 1.0, "b": 2.0}, `SELECT '{"a": 1}'::jsonb || $1`, map[string]any{"b": 2})
	value(connection, true, `SELECT '{"a": 1, "b": 2}'::jsonb @> $1`, map[string]any{"b": 2})
	value(connection, true, "SELECT ARRAY['a', 'b'] && $1", []string{"b"})
	value(connection, map[string]any{"item1": 11.5, "item4": 2.5}, "SELECT jsonb_object_agg(name, price ORDER BY name) FROM gx_items WHERE meta IS NULL OR name = 'item1'")
	list(connection, []string{"item1", "item3"}, "DELETE FROM gx_items WHERE name IN ($1, $2) RETURNING name", "item1", "item3")
	exec(connection, "INSERT INTO gx_items (name) SELECT 'many' || g FROM generate_series(1, $1::int) g", 20)
	rows, _ := connection.Query(background, "SELECT id, name, count(*) OVER () AS total FROM gx_items WHERE name LIKE $1 ORDER BY id LIMIT 2", "many%")
	type page struct {
		ID    int64
		Name  string
		Total int64
	}
	pages, err := pgx.CollectRows(rows, pgx.RowToAddrOfStructByName[page])
	if check.OK("page", err) {
		check.Equal("page", []any{len(pages), pages[1].Name, pages[1].Total}, []any{2, "many2", int64(20)})
	}
	// What the connection has prepared is stale after this: one error at most.
	star := "SELECT * FROM gx_items ORDER BY id LIMIT 1"
	exec(connection, star)
	exec(pool, "ALTER TABLE gx_items ADD COLUMN more text DEFAULT 'm'")
	for attempt := range 2 {
		rows, _ := connection.Query(background, star)
		got, err := pgx.CollectOneRow(rows, pgx.RowToMap)
		if attempt == 0 && err != nil {
			check.State(star, err, "0A000")
		} else if check.OK(star, err) {
			check.Equal(star, got["more"], "m")
		}
	}
}

// The fields of errors.
func errorFields(pool *pgxpool.Pool) {
	exec(pool, "CREATE TABLE gx_child (id int PRIMARY KEY, item bigint NOT NULL CONSTRAINT gx_child_item REFERENCES gx_items (id) ON DELETE RESTRICT, short varchar(3))")
	for _, wanted := range []struct {
		sql, code, constraint, column, detail string
		position                              int32
	}{
		{"INSERT INTO gx_items (id, name) VALUES (900, 'item2')", "23505", "gx_items_name_key", "", "Key (name)=(item2) already exists.", 0},
		{"INSERT INTO gx_items (name) VALUES (NULL)", "23502", "", "name", "", 0},
		{"INSERT INTO gx_items (name, price) VALUES ('neg', -1)", "23514", "gx_items_price_check", "", "", 0},
		{"INSERT INTO gx_child VALUES (1, 9999)", "23503", "gx_child_item", "", `Key (item)=(9999) is not present in table "gx_items".`, 0},
		{"INSERT INTO gx_child VALUES (1, 2, 'long')", "22001", "", "", "", 0},
		{"SELECT * FROM gx_missing", "42P01", "", "", "", 15},
		{"SELECT gone FROM gx_items", "42703", "", "", "", 8},
		{"SELEC 1", "42601", "", "", "", 1},
		{"SELECT nofunction(1)", "42883", "", "", "", 8},
		{"SELECT 'x'::int", "22P02", "", "", "", 8},
		{"SELECT 1 / 0", "22012", "", "", "", 0},
		{"SELECT 32768::int2", "22003", "", "", "", 0},
		{"SELECT '2024-13-01'::date", "22008", "", "", "", 8},
		{"SELECT name, count(*) FROM gx_items", "42803", "", "", "", 8},
		{"CREATE TABLE gx_items (a int)", "42P07", "", "", "", 0},
		{"DROP TABLE gx_missing", "42P01", "", "", "", 0},
		{"UPDATE gx_items SET twice = 1", "428C9", "", "", `Column "twice" is a generated column.`, 0},
		{"INSERT INTO gx_types (id) VALUES (1)", "428C9", "", "", `Column "id" is an identity column defined as GENERATED ALWAYS.`, 0},
	} {
		if wanted.code == "23503" && !check.All { // FAILS: foreign keys are not enforced
			continue
		}
		_, err := pool.Exec(background, wanted.sql, pgx.QueryExecModeDescribeExec)
		check.State(wanted.sql, err, wanted.code)
		var got *pgconn.PgError
		if !errors.As(err, &got) {
			continue
		}
		detail := got.Detail
		if wanted.detail == "" {
			detail = ""
		}
		check.Equal(wanted.sql, []any{got.Severity, got.ConstraintName, got.ColumnName, detail, got.Position},
			[]any{"ERROR", wanted.constraint, wanted.column, wanted.detail, wanted.position})
		if strings.HasPrefix(wanted.code, "23") {
			check.Equal(wanted.sql, []string{got.SchemaName, got.TableName}, []string{"public", strings.Fields(wanted.sql)[2]})
		}
	}
	config := pool.Config().ConnConfig.Copy()
	config.Database = "gx_missing"
	_, err := pgx.ConnectConfig(background, config)
	check.State("connect to a missing database", err, "3D000")
}

// Transactions, savepoints, isolation, locks, and rollback after an error.
func transactions(pool *pgxpool.Pool) {
	exec(pool, "CREATE TABLE gx_counter (id int PRIMARY KEY, n int NOT NULL)")
	stop := errors.New("stop")
	err := pgx.BeginFunc(background, pool, func(transaction pgx.Tx) error {
		exec(transaction, "INSERT INTO gx_counter VALUES (1, 0)")
		check.Equal("savepoint", pgx.BeginFunc(background, transaction, func(inner pgx.Tx) error {
			exec(inner, "INSERT INTO gx_counter VALUES (2, 0)")
			return stop
		}), stop)
		inner, err := transaction.Begin(background)
		check.OK("SAVEPOINT", err)
		_, err = inner.Exec(background, "INSERT INTO gx_counter VALUES (1, 0)")
		check.State("duplicate", err, "23505")
		_, err = inner.Exec(background, "SELECT 1")
		check.State("SELECT 1 in a failed transaction", err, "25P02")
		check.OK("ROLLBACK TO SAVEPOINT", inner.Rollback(background))
		list(transaction, []int32{1}, "SELECT id FROM gx_counter")
		return nil
	})
	check.OK("COMMIT", err)
	list(pool, []int32{1}, "SELECT id FROM gx_counter")
	failing, err := pool.Begin(background)
	if check.OK("BEGIN", err) {
		failing.Exec(background, "SELECT 1 / 0")
		check.Equal("COMMIT of a failed transaction", failing.Commit(background), pgx.ErrTxCommitRollback)
	}
	for _, level := range []pgx.TxIsoLevel{pgx.Serializable, pgx.RepeatableRead, pgx.ReadCommitted} {
		if level == pgx.Serializable && !check.All { // FAILS: not supported
			continue
		}
		check.OK("BEGIN "+string(level), pgx.BeginTxFunc(background, pool, pgx.TxOptions{IsoLevel: level, AccessMode: pgx.ReadOnly, DeferrableMode: pgx.Deferrable}, func(transaction pgx.Tx) error {
			value(transaction, string(level), "SHOW transaction_isolation")
			value(transaction, "on", "SELECT current_setting('transaction_read_only')")
			return nil
		}))
	}
	check.State("UPDATE in a read-only transaction", pgx.BeginTxFunc(background, pool, pgx.TxOptions{AccessMode: pgx.ReadOnly}, func(transaction pgx.Tx) error {
		_, err := transaction.Exec(background, "UPDATE gx_counter SET n = 1")
		return err
	}), "25006")
	// Updates of one row at once: each waits for the one before.
	var group sync.WaitGroup
	for range 6 {
		group.Go(func() {
			for range 5 {
				exec(pool, "UPDATE gx_counter SET n = n + 1 WHERE id = $1", 1)
				check.OK("FOR UPDATE", pgx.BeginFunc(background, pool, func(transaction pgx.Tx) error {
					var n int
					if err := transaction.QueryRow(background, "SELECT n FROM gx_counter WHERE id = 1 FOR UPDATE").Scan(&n); err != nil {
						return err
					}
					_, err := transaction.Exec(background, "UPDATE gx_counter SET n = $1 WHERE id = 1", n+1)
					return err
				}))
			}
		})
	}
	group.Wait()
	value(pool, int32(60), "SELECT n FROM gx_counter WHERE id = 1")
	// Two writers under repeatable read: the second has to try again.
	first, err := pool.BeginTx(background, pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
	check.OK("BEGIN", err)
	value(first, int32(60), "SELECT n FROM gx_counter WHERE id = 1")
	exec(pool, "UPDATE gx_counter SET n = n + 1 WHERE id = 1")
	value(first, int32(60), "SELECT n FROM gx_counter WHERE id = 1")
	_, err = first.Exec(background, "UPDATE gx_counter SET n = n + 1 WHERE id = 1")
	check.State("UPDATE of a row that another has updated", err, "40001")
	first.Rollback(background)
	first, err = pool.Begin(background)
	check.OK("BEGIN", err)
	list(first, []int32{61}, "SELECT n FROM gx_counter WHERE id = 1 FOR UPDATE")
	_, err = pool.Exec(background, "SELECT n FROM gx_counter WHERE id = 1 FOR UPDATE NOWAIT")
	check.State("FOR UPDATE NOWAIT", err, "55P03")
	first.Rollback(background)
	if !check.All { // FAILS: SKIP LOCKED is refused, there are no advisory locks
		return
	}
	// A queue of jobs: rows that another has locked are skipped.
	exec(pool, "INSERT INTO gx_counter SELECT g, 0 FROM generate_series(2, 4) g")
	first, err = pool.Begin(background)
	check.OK("BEGIN", err)
	list(first, []int32{1}, "SELECT id FROM gx_counter ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED")
	list(pool, []int32{2}, "SELECT id FROM gx_counter ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED")
	first.Rollback(background)
	// Locks by number, as migration tools take them.
	first, err = pool.Begin(background)
	check.OK("BEGIN", err)
	exec(first, "SELECT pg_advisory_xact_lock($1)", 42)
	value(pool, false, "SELECT pg_try_advisory_lock($1)", 42)
	first.Rollback(background)
}

// Batches, and pipelines of the protocol.
func batches(pool *pgxpool.Pool) {
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeDescribeExec,
		pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol} {
		config := pool.Config().ConnConfig.Copy()
		config.DefaultQueryExecMode = mode
		connection, err := pgx.ConnectConfig(background, config)
		if !check.OK("connect", err) {
			return
		}
		name := "batch in " + mode.String()
		exec(connection, "DROP TABLE IF EXISTS gx_batch")
		exec(connection, "CREATE TABLE gx_batch (id int PRIMARY KEY, t text)")
		batch, sum := &pgx.Batch{}, 0
		for number := range 50 {
			batch.Queue("INSERT INTO gx_batch VALUES ($1, $2)", number, fmt.Sprint("t", number))
		}
		batch.Queue("SELECT id FROM gx_batch WHERE id < $1 ORDER BY id", 10).Query(func(rows pgx.Rows) error {
			var id int
			_, err := pgx.ForEachRow(rows, []any{&id}, func() error { sum += id; return nil })
			return err
		})
		batch.Queue("UPDATE gx_batch SET t = 'u' WHERE id >= $1", 40).Exec(func(tag pgconn.CommandTag) error {
			sum += int(tag.RowsAffected())
			return nil
		})
		check.OK(name, connection.SendBatch(background, batch).Close())
		check.Equal(name, sum, 55)
		// An error ends the batch, and nothing of it stays.
		batch = &pgx.Batch{}
		batch.Queue("INSERT INTO gx_batch VALUES ($1, 'x')", 100)
		batch.Queue("INSERT INTO gx_batch VALUES ($1, 'x')", 1)
		batch.Queue("INSERT INTO gx_batch VALUES ($1, 'x')", 101)
		results := connection.SendBatch(background, batch)
		_, err = results.Exec()
		if mode != pgx.QueryExecModeSimpleProtocol {
			check.OK(name, err)
			_, err = results.Exec()
		}
		check.State(name, errors.Join(err, results.Close()), "23505")
		value(connection, int64(50), "SELECT count(*) FROM gx_batch")
		batch = &pgx.Batch{}
		batch.Queue("BEGIN")
		batch.Queue("INSERT INTO gx_batch VALUES ($1, 'x')", 200)
		batch.Queue("COMMIT")
		check.OK(name+" with BEGIN", connection.SendBatch(background, batch).Close())
		value(connection, int64(51), "SELECT count(*) FROM gx_batch")
		check.OK("close", connection.Close(background))
	}
	connection, err := pool.Acquire(background)
	if !check.OK("acquire", err) {
		return
	}
	defer connection.Release()
	pipeline := connection.Conn().PgConn().StartPipeline(background)
	pipeline.SendPrepare("double", "SELECT $1::int * 2 AS d", nil)
	pipeline.SendQueryPrepared("double", [][]byte{[]byte("21")}, nil, nil)
	pipeline.SendPipelineSync()
	pipeline.SendQueryParams("SELECT 1 / $1::int", [][]byte{[]byte("0")}, nil, nil, nil)
	pipeline.SendQueryParams("SELECT 'skipped'", nil, nil, nil, nil)
	pipeline.SendPipelineSync()
	pipeline.SendQueryParams("SELECT 'after'", nil, nil, nil, nil)
	pipeline.SendFlushRequest()
	check.OK("flush", pipeline.Flush())
	got := []string{}
	for range 6 {
		result, err := pipeline.GetResults()
		switch result := result.(type) {
		case *pgconn.StatementDescription:
			got = append(got, result.Fields[0].Name)
		case *pgconn.ResultReader:
			read := result.Read()
			if read.Err != nil {
				got = append(got, read.Err.(*pgconn.PgError).Code)
			} else if len(read.Rows) > 0 {
				got = append(got, string(read.Rows[0][0]))
			} else {
				got = append(got, read.CommandTag.String())
			}
		case *pgconn.PipelineSync:
			got = append(got, "sync")
		default:
			if failure := (*pgconn.PgError)(nil); errors.As(err, &failure) {
				got = append(got, failure.Code)
			} else {
				got = append(got, fmt.Sprint(err))
			}
		}
	}
	check.OK("sync", pipeline.Sync())
	check.OK("close the pipeline", pipeline.Close())
	check.Equal("pipeline", strings.Join(got, " "), "d 42 sync 22012 sync after")
	several, err := connection.Conn().PgConn().Exec(background, "CREATE TEMP TABLE gx_temp (a int); INSERT INTO gx_temp VALUES (1), (2); SELECT a FROM gx_temp ORDER BY a; DROP TABLE gx_temp").ReadAll()
	if check.OK("statements in one string", err) {
		check.Equal("statements in one string", []any{len(several), several[1].CommandTag.String(), string(several[2].Rows[1][0])}, []any{4, "INSERT 0 2", "2"})
	}
}

// Cursors, rows as they come, and cancellation.
func cursors(pool *pgxpool.Pool) {
	check.OK("cursor", pgx.BeginFunc(background, pool, func(transaction pgx.Tx) error {
		exec(transaction, "DECLARE gx_cursor CURSOR FOR SELECT g FROM generate_series(1, 100) g")
		list(transaction, []int32{1, 2, 3}, "FETCH 3 FROM gx_cursor")
		check.Equal("MOVE", exec(transaction, "MOVE FORWARD 10 IN gx_cursor"), "MOVE 10")
		list(transaction, []int32{14}, "FETCH NEXT FROM gx_cursor")
		exec(transaction, "CLOSE gx_cursor")
		exec(transaction, "DECLARE gx_cursor SCROLL CURSOR FOR SELECT g FROM generate_series(1, 100) g")
		list(transaction, []int32{5}, "FETCH ABSOLUTE 5 FROM gx_cursor")
		list(transaction, []int32{4, 3}, "FETCH BACKWARD 2 FROM gx_cursor")
		return nil
	}))
	sql, seen := "SELECT g, 'row ' || g FROM generate_series(1, 200000) g", 0
	rows, err := pool.Query(background, sql)
	if check.OK(sql, err) {
		for rows.Next() {
			seen++
		}
		check.OK(sql, rows.Err())
		check.Equal(sql, []any{seen, rows.CommandTag().String()}, []any{200000, "SELECT 200000"})
	}
	rows, err = pool.Query(background, sql) // left after the first row
	if check.OK(sql, err) {
		rows.Next()
		rows.Close()
	}
	connection, err := pool.Acquire(background)
	if !check.OK("acquire", err) {
		return
	}
	defer connection.Release()
	for _, long := range []string{"SELECT a FROM generate_series(1, 1000000000) a ORDER BY a",
		"SELECT count(*) FROM generate_series(1, 100000) a, generate_series(1, 100000) b WHERE a + b = 3", "SELECT pg_sleep(10)"} {
		if !strings.Contains(long, "ORDER") && !check.All { // FAILS: the join goes on for seconds, and there is no pg_sleep
			continue
		}
		began := time.Now()
		raw := connection.Conn().PgConn()
		timer := time.AfterFunc(200*time.Millisecond, func() { raw.CancelRequest(background) })
		_, err = connection.Exec(background, long)
		timer.Stop()
		check.State("cancel "+long, err, "57014")
		exec(connection, "SET statement_timeout = 100")
		_, err = connection.Exec(background, long)
		check.State("statement_timeout "+long, err, "57014")
		exec(connection, "RESET statement_timeout")
		check.Equal("in time: "+long, time.Since(began) < 2*time.Second, true)
	}
	config := pool.Config().ConnConfig.Copy()
	var notices []string
	config.RuntimeParams = map[string]string{"application_name": "gx", "search_path": "pg_temp, public", "TimeZone": "Europe/Paris"}
	config.OnNotice = func(_ *pgconn.PgConn, notice *pgconn.Notice) {
		notices = append(notices, notice.Severity+" "+notice.Message)
	}
	other, err := pgx.ConnectConfig(background, config)
	if !check.OK("connect", err) {
		return
	}
	value(other, "gx pg_temp, public Europe/Paris", "SELECT current_setting('application_name') || ' ' || current_setting('search_path') || ' ' || current_setting('TimeZone')")
	value(other, "2024-01-02 04:00:00+01", "SELECT $1::timestamptz::text", time.Date(2024, 1, 2, 3, 0, 0, 0, time.UTC))
	check.Equal("parameters", []string{other.PgConn().ParameterStatus("application_name"), other.PgConn().ParameterStatus("TimeZone"), other.PgConn().ParameterStatus("standard_conforming_strings")},
		[]string{"gx", "Europe/Paris", "on"})
	value(connection, int64(1), "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'gx' AND datname = current_database()")
	exec(other, "DROP TABLE IF EXISTS gx_missing")
	check.Equal("notices", notices, []string{`NOTICE table "gx_missing" does not exist, skipping`})
	terminate := "SELECT pg_terminate_backend($1::int)"
	if check.All { // FAILS: the parameter is text without the cast
		terminate = "SELECT pg_terminate_backend($1)"
	}
	value(connection, true, terminate, other.PgConn().PID())
	time.Sleep(100 * time.Millisecond)
	_, err = other.Exec(background, "SELECT 1")
	check.State("a terminated session", err, "57P01")
	other.Close(background)
}

// COPY in binary, in text and as CSV, in and out.
func copies(pool *pgxpool.Pool) {
	_, arguments := sample()
	rows := [][]any{arguments, make([]any, len(arguments))}
	names := strings.Split(columns, ", ")
	exec(pool, "CREATE TABLE gx_copy AS SELECT "+columns+" FROM gx_types LIMIT 0")
	exec(pool, "TRUNCATE gx_batch")
	count, err := pool.CopyFrom(background, pgx.Identifier{"public", "gx_copy"}, names, pgx.CopyFromRows(rows))
	check.OK("CopyFrom", err)
	check.Equal("CopyFrom", count, int64(2))
	value(pool, int64(1), "SELECT count(*) FROM (SELECT "+strings.Replace(columns, ", j,", ", j::text,", 1)+" FROM gx_copy INTERSECT SELECT "+strings.Replace(columns, ", j,", ", j::text,", 1)+" FROM gx_types) s")
	many := pgx.CopyFromSlice(20000, func(number int) ([]any, error) { return []any{number, fmt.Sprint("t", number)}, nil })
	count, err = pool.CopyFrom(background, pgx.Identifier{"gx_batch"}, []string{"id", "t"}, many)
	check.OK("CopyFromSlice", err)
	check.Equal("CopyFromSlice", count, int64(20000))
	_, err = pool.CopyFrom(background, pgx.Identifier{"gx_batch"}, []string{"id", "t"}, pgx.CopyFromRows([][]any{{50000, "x"}, {7, "x"}}))
	check.State("CopyFrom of a duplicate", err, "23505")
	_, err = pool.CopyFrom(background, pgx.Identifier{"gx_batch"}, []string{"id", "t"}, pgx.CopyFromFunc(func() ([]any, error) { return nil, errors.New("stop") }))
	check.State("CopyFrom that the client ends", err, "57014")
	value(pool, int64(20000), "SELECT count(*) FROM gx_batch")
	connection, err := pool.Acquire(background)
	if !check.OK("acquire", err) {
		return
	}
	defer connection.Release()
	raw := connection.Conn().PgConn()
	_, err = raw.CopyFrom(background, strings.NewReader("id,t\n30001,\"a,b\"\n30002,\n"), "COPY gx_batch (id, t) FROM STDIN WITH (FORMAT csv, HEADER)")
	check.OK("COPY FROM STDIN as CSV", err)
	_, err = raw.CopyFrom(background, strings.NewReader("x\ty\n"), "COPY gx_batch FROM STDIN")
	check.State("COPY FROM STDIN", err, "22P02")
	exec(connection, "TRUNCATE gx_copy")
	exec(connection, "INSERT INTO gx_copy SELECT "+columns+" FROM gx_types WHERE id = 1")
	exec(connection, "INSERT INTO gx_copy DEFAULT VALUES")
	for sql, want := range map[string]string{
		"COPY (SELECT id, t FROM gx_batch WHERE id > 30000 ORDER BY id) TO STDOUT WITH (FORMAT csv, HEADER true)": "id,t\n30001,\"a,b\"\n30002,\n",
		"COPY (SELECT ia, ta, b, iv, tz FROM gx_copy WHERE i2 IS NOT NULL) TO STDOUT":                             "{1,-2,3}\t{\"a,b\",NULL,\"\\\\\"c\\\\\"\"}\t\\\\x00ff\t1 year 2 mons -3 days +00:00:05.000001\t2024-01-02 03:04:05.678+00\n",
	} {
		var out bytes.Buffer
		_, err = raw.CopyTo(background, &out, sql)
		check.OK(sql, err)
		check.Equal(sql, out.String(), want)
	}
	var out bytes.Buffer
	_, err = raw.CopyTo(background, &out, "COPY gx_copy TO STDOUT (FORMAT binary)")
	check.OK("COPY TO STDOUT (FORMAT binary)", err)
	tag, err := raw.CopyFrom(background, &out, "COPY gx_copy FROM STDIN (FORMAT binary)")
	check.OK("COPY FROM STDIN (FORMAT binary)", err)
	check.Equal("COPY FROM STDIN (FORMAT binary)", tag.String(), "COPY 2")
}

// What tools ask of the catalog.
func catalog(pool *pgxpool.Pool) {
	exec(pool, "CREATE INDEX gx_items_price ON gx_items (price, name)")
	exec(pool, "COMMENT ON COLUMN gx_items.name IS 'the name'")
	exec(pool, "CREATE INDEX gx_items_part ON gx_items (price DESC, lower(name)) WHERE price > 0")
	list(pool, []string{"CREATE INDEX gx_items_part ON public.gx_items USING btree (price DESC, lower(name)) WHERE (price > (0)::numeric)"},
		"SELECT indexdef FROM pg_indexes WHERE indexname = 'gx_items_part'")
	exec(pool, "DROP INDEX IF EXISTS gx_items_part")
	for sql, want := range map[string][]string{
		"SELECT column_name || ' ' || data_type || ' ' || udt_name || ' ' || is_nullable || ' ' || coalesce(column_default, '-') || ' ' || is_generated FROM information_schema.columns WHERE table_schema = 'public' AND table_name = 'gx_items' ORDER BY ordinal_position": {
			"id bigint int8 NO nextval('gx_items_id_seq'::regclass) NEVER", "name text text NO - NEVER", "price numeric numeric YES 1 NEVER", "tags ARRAY _text YES - NEVER", "meta jsonb jsonb YES - NEVER",
			"twice numeric numeric YES - ALWAYS", "at timestamp with time zone timestamptz YES now() NEVER", "more text text YES 'm'::text NEVER"},
		"SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'gx_types'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum LIMIT 10": {
			"integer", "smallint", "integer", "bigint", "real", "double precision", "numeric(12,3)", "boolean", "text", "character varying(9)"},
		"SELECT conname || ' ' || contype::text || ' ' || pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid IN ('gx_items'::regclass, 'gx_child'::regclass) AND contype <> 'n' ORDER BY conname": {
			"gx_child_item f FOREIGN KEY (item) REFERENCES gx_items(id) ON DELETE RESTRICT", "gx_child_pkey p PRIMARY KEY (id)", "gx_items_name_key u UNIQUE (name)",
			"gx_items_pkey p PRIMARY KEY (id)", "gx_items_price_check c CHECK ((price >= (0)::numeric))"},
		"SELECT indexdef FROM pg_indexes WHERE tablename = 'gx_items' ORDER BY indexname": {
			"CREATE UNIQUE INDEX gx_items_name_key ON public.gx_items USING btree (name)", "CREATE UNIQUE INDEX gx_items_pkey ON public.gx_items USING btree (id)",
			"CREATE INDEX gx_items_price ON public.gx_items USING btree (price, name)"},
		"SELECT k.column_name || ' ' || u.table_name || ' ' || u.column_name FROM information_schema.table_constraints t JOIN information_schema.key_column_usage k USING (constraint_schema, constraint_name) JOIN information_schema.constraint_column_usage u USING (constraint_schema, constraint_name) WHERE t.constraint_type = 'FOREIGN KEY' AND t.table_name = 'gx_child'": {
			"item gx_items id"},
		"SELECT col_description('gx_items'::regclass, 2)":                                                                            {"the name"},
		"SELECT pg_get_serial_sequence('gx_items', 'id')":                                                                            {"public.gx_items_id_seq"},
		"SELECT identity_generation FROM information_schema.columns WHERE table_name = 'gx_types' AND is_identity = 'YES'":           {"ALWAYS"},
		"SELECT t.table_type FROM information_schema.tables t WHERE t.table_schema = current_schema() AND t.table_name = 'gx_child'": {"BASE TABLE"},
	} {
		if !check.All && (strings.Contains(sql, "column_default") || strings.Contains(sql, "pg_get_constraintdef")) {
			continue // FAILS: nextval('public.… with the schema, defaults and checks without casts, foreign keys NOT ENFORCED
		}
		list(pool, want, sql)
	}
}

func main() {
	config, err := pgxpool.ParseConfig("pool_max_conns=8 timezone=UTC")
	if err != nil {
		panic(err)
	}
	pool, err := pgxpool.NewWithConfig(background, config)
	if check.OK("connect", err) && check.OK("ping", pool.Ping(background)) {
		drop := "DROP TABLE IF EXISTS gx_types, gx_items, gx_child, gx_counter, gx_batch, gx_copy CASCADE"
		exec(pool, drop)
		for _, part := range []func(*pgxpool.Pool){types, userTypes, statements, errorFields, transactions, batches, cursors, copies, catalog, adapter} {
			part(pool)
		}
		exec(pool, drop)
		pool.Close()
	}
	check.Done()
}
