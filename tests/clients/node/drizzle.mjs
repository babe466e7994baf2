// Drizzle over node-postgres: migrations, types, queries, relations, upserts, transactions, prepared statements; drizzle-kit's push and pull.
import {execFileSync} from 'node:child_process'
import {mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {createRequire} from 'node:module'
import {tmpdir} from 'node:os'
import {dirname, join} from 'node:path'
import {fileURLToPath} from 'node:url'
import {
  and, arrayContains, arrayOverlaps, asc, avg, between, count, countDistinct, desc, eq, exists, gt, ilike, inArray, isNotNull, isNull, like, lt, max, ne, not, or, sql, sum,
} from 'drizzle-orm'
import {drizzle} from 'drizzle-orm/node-postgres'
import {migrate} from 'drizzle-orm/node-postgres/migrator'
import * as pc from 'drizzle-orm/pg-core'
import pg from 'pg'
import * as schema from './drizzle-schema.mjs'
import {ALL, fails, same} from './same.mjs'

process.env.TZ = 'UTC'
const require = createRequire(import.meta.url)
const {generateDrizzleJson, generateMigration} = require('drizzle-kit/api')
const {author, book, label, labelled, types, view} = schema

const pool = new pg.Pool({max: 4})
const db = drizzle(pool, {schema})

// Migrations, made from the schema; done again, they do nothing.
const folder = mkdtempSync(join(tmpdir(), 'drizzle'))
mkdirSync(join(folder, 'meta'))
// FAILS: the name of an identity's sequence.
const statements = (await generateMigration(generateDrizzleJson({}), generateDrizzleJson(schema))).map(text => ALL ? text : text.replace(/sequence name "\w+" /, ''))
writeFileSync(join(folder, '0000_one.sql'), statements.join('\n--> statement-breakpoint\n'))
writeFileSync(join(folder, 'meta/_journal.json'), JSON.stringify({version: '7', dialect: 'postgresql', entries: [{idx: 0, version: '7', when: 1, tag: '0000_one', breakpoints: true}]}))
for (let n = 0; n < 2; n++) await migrate(db, {migrationsFolder: folder, migrationsTable: 'dz_migrations', migrationsSchema: 'dz'})
same('migrations', (await db.execute(sql`SELECT id, created_at FROM dz.dz_migrations`)).rows, [{id: 1, created_at: '1'}])

// Every type, and NULL.
const at = new Date('2020-01-02T03:04:05.678Z')
const row = {
  i2: -5, i4: 123456, i8: 9007199254740993n, i8n: 12, f4: 1.5, f8: -0.1, n: '12345678901234567.125', ok: true, t: 'aé"\'\\\n', v: 'abc', c: 'a  ', d: '2020-02-29', dd: new Date('2020-02-29'), ti: '01:02:03.5', ts: at, tz: at,
  tss: '2020-01-02 03:04:05.678', iv: '1 day 02:03:04', u: '6f1c2a34-0000-4000-8000-000000000005', j: {a: [1, null]}, jb: [1, 'x'], ia: [1, 2], ta: ['a', 'b,"c\\'], m: ['sad', 'ok'], b: Buffer.from([0, 255]),
}
same('INSERT of every type', await db.insert(types).values(row).returning(), [row])
for (const key of Object.keys(row).filter(key => key !== 'j' && (key !== 'iv' || ALL))) // FAILS: a parameter beside an interval is text.
  same(`a parameter compared with ${key}`, (await db.select({v: types[key]}).from(types).where(eq(types[key], row[key]))).length, 1)
await db.delete(types)
same('INSERT of NULLs', await db.insert(types).values({}).returning(), [Object.fromEntries(Object.keys(row).map(key => [key, null]))])

// Rows.
await db.insert(author).values([{name: 'ann', tags: ['a', 'b'], info: {born: 1900}}, {name: 'bob', mood: 'sad', boss: 1}, {name: 'cid', boss: 1}])
same('returning', await db.insert(book).values([{authorId: 1, title: 'one', price: '1.5'}, {authorId: 1, title: 'two', price: '2'}, {authorId: 2, title: 'three', price: '30.25', sold: true}]).returning({id: book.id, cents: book.cents}),
  [{id: 1, cents: 150}, {id: 2, cents: 200}, {id: 3, cents: 3025}])
const [red, blue] = await db.insert(label).values([{text: 'red'}, {text: 'blue'}]).returning()
await db.insert(labelled).values([{bookId: 1, labelId: red.id}, {bookId: 1, labelId: blue.id}, {bookId: 3, labelId: blue.id}])

// Queries.
const titles = async query => (await query).map(row => row.title)
const books = () => db.select({title: book.title}).from(book).orderBy(asc(book.id)).$dynamic()
for (const [condition, wanted] of [
  [and(eq(book.sold, false), gt(book.price, '1.50')), ['two']], [or(like(book.title, 't%'), isNull(book.price)), ['two', 'three']], [not(ilike(book.title, 'T%')), ['one']], [inArray(book.id, [1, 3]), ['one', 'three']],
  [between(book.price, '1', '2'), ['one', 'two']], [and(ne(book.title, 'one'), isNotNull(book.price)), ['two', 'three']], [sql`${book.title} = ANY(${sql.param(['one', 'x'])})`, ['one']],
  [exists(db.select({x: sql`1`}).from(labelled).where(eq(labelled.bookId, book.id))), ['one', 'three']], [inArray(book.authorId, db.select({id: author.id}).from(author).where(eq(author.name, 'bob'))), ['three']],
]) same(`where ${new pc.PgDialect().sqlToQuery(condition).sql}`, await titles(books().where(condition)), wanted)
same('pages', await titles(books().limit(1).offset(1)), ['two'])
same('arrays', await db.select({name: author.name}).from(author).where(arrayContains(author.tags, ['a'])), [{name: 'ann'}])
// FAILS: && and a parameter without a type.
if (ALL) same('arrays that overlap', await db.select({name: author.name}).from(author).where(arrayOverlaps(author.tags, ['b', 'z'])), [{name: 'ann'}])
same('JSON', await db.select({born: sql`${author.info} ->> 'born'`}).from(author).where(sql`(${author.info} -> 'born')::int > ${1800}`), [{born: '1900'}])
same('joins', await db.select({title: book.title, author: {id: author.id, name: author.name}, text: label.text}).from(book).innerJoin(author, eq(author.id, book.authorId))
  .leftJoin(labelled, eq(labelled.bookId, book.id)).leftJoin(label, eq(label.id, labelled.labelId)).where(ne(book.id, 3)).orderBy(book.id, label.text),
[{title: 'one', author: {id: 1, name: 'ann'}, text: 'blue'}, {title: 'one', author: {id: 1, name: 'ann'}, text: 'red'}, {title: 'two', author: {id: 1, name: 'ann'}, text: null}])
const boss = pc.alias(author, 'boss')
same('a table joined with itself', await db.select({name: author.name, boss: boss.name}).from(author).fullJoin(boss, eq(author.boss, boss.id)).where(isNotNull(author.boss)).orderBy(author.id), [{name: 'bob', boss: 'ann'}, {name: 'cid', boss: 'ann'}])
same('aggregates', await db.select({id: book.authorId, n: count(), sum: sum(book.price), last: max(book.title), avg: avg(book.id)}).from(book).groupBy(book.authorId).having(({n}) => gt(n, 1)),
  [{id: 1, n: 2, sum: '3.50', last: 'two', avg: '1.5000000000000000'}])
same('$count', [await db.$count(book, eq(book.sold, true)), (await db.select({n: countDistinct(book.authorId)}).from(book))[0].n], [1, 2])
const cheap = db.$with('cheap').as(db.select().from(book).where(lt(book.price, '10')))
same('with', await titles(db.with(cheap).select({title: cheap.title}).from(cheap).orderBy(desc(cheap.price))), ['two', 'one'])
same('union', await titles(pc.union(db.select({title: book.title}).from(book).where(eq(book.id, 1)), db.select({title: book.title}).from(book).where(eq(book.id, 3))).orderBy(sql`title`)), ['one', 'three'])
same('distinctOn', await titles(db.selectDistinctOn([book.authorId], {title: book.title}).from(book).orderBy(book.authorId, desc(book.price))), ['two', 'three'])
const part = db.select({title: book.title}).from(book).where(eq(book.authorId, author.id)).orderBy(desc(book.price)).limit(1).as('part')
same('a lateral join', await db.select({name: author.name, title: part.title}).from(author).leftJoinLateral(part, sql`true`).orderBy(author.id), [{name: 'ann', title: 'two'}, {name: 'bob', title: 'three'}, {name: 'cid', title: null}])
same('a view', await db.select().from(view), [{title: 'one', price: '1.50'}])
same('for update', await titles(books().where(eq(book.id, 1)).for('update')), ['one'])
const prepared = db.select({title: book.title}).from(book).where(eq(book.id, sql.placeholder('id'))).prepare('by_id')
same('a prepared statement', [await titles(prepared.execute({id: 1})), await titles(prepared.execute({id: 3}))], [['one'], ['three']])

// Relations: one statement with lateral joins and json_build_array.
const eager = () => db.query.author.findMany({
  columns: {name: true}, orderBy: asc(author.id), where: (t, {ne}) => ne(t.name, 'cid'),
  with: {boss: {columns: {name: true}}, workers: {columns: {name: true}, orderBy: asc(author.id)},
    books: {columns: {title: true, price: true}, orderBy: desc(book.price), limit: 1, extras: {upper: sql`upper(${book.title})`.as('upper')}, with: {labelled: {columns: {}, with: {label: {columns: {text: true}}}}}}},
})
same('relations', await eager(), [
  {name: 'ann', boss: null, workers: [{name: 'bob'}, {name: 'cid'}], books: [{title: 'two', price: '2', upper: 'TWO', labelled: []}]},
  {name: 'bob', boss: {name: 'ann'}, workers: [], books: [{title: 'three', price: '30.25', upper: 'THREE', labelled: [{label: {text: 'blue'}}]}]}])
same('findFirst', await db.query.book.findFirst({where: eq(book.id, 3), columns: {title: true}, with: {author: true}}).then(b => [b.title, b.author.name, b.author.mood]), ['three', 'bob', 'sad'])

// Changes, errors, transactions.
same('onConflictDoUpdate', await db.insert(book).values({authorId: 1, title: 'one', price: '5'}).onConflictDoUpdate({target: [book.authorId, book.title], set: {price: sql`excluded.price + ${book.price}`}, setWhere: eq(book.sold, false)}).returning({price: book.price}), [{price: '6.50'}])
same('onConflictDoNothing', (await db.insert(author).values({name: 'ann'}).onConflictDoNothing()).rowCount, 0)
same('INSERT SELECT', (await db.insert(label).select(db.select({id: sql`gen_random_uuid()`.as('id'), text: author.name}).from(author))).rowCount, 3)
same('UPDATE FROM', await db.update(book).set({sold: true, price: sql`${book.price} * 2`}).from(author).where(and(eq(author.id, book.authorId), eq(author.name, 'bob'))).returning({price: book.price, name: author.name}), [{price: '60.50', name: 'bob'}])
same('DELETE', await db.delete(label).where(eq(label.text, 'cid')).returning({text: label.text}), [{text: 'cid'}])
const cause = async (name, promise, wanted) => fails(name, promise.catch(error => { throw error.cause ?? error }), wanted)
await cause('unique', db.insert(author).values({name: 'ann'}), {code: '23505', constraint: 'dz_author_name_unique'})
await cause('check', db.update(book).set({price: '-1'}), {code: '23514', constraint: 'dz_book_positive'})
await cause('enumeration', db.insert(author).values({name: 'x', mood: 'bad'}), {code: '22P02'})
// FAILS: foreign keys are not enforced.
if (ALL) await cause('foreign key', db.insert(book).values({authorId: 99, title: 'x'}), {code: '23503', constraint: 'dz_book_author_id_dz_author_id_fk'})
await fails('a transaction', db.transaction(async tx => {
  await tx.insert(label).values({text: 'outer'})
  await fails('a nested one', tx.transaction(async inner => { await inner.insert(label).values({text: 'inner'}); inner.rollback() }), {message: 'Rollback'})
  same('after the nested one', await tx.select({text: label.text}).from(label).where(inArray(label.text, ['outer', 'inner'])), [{text: 'outer'}])
  tx.rollback()
}), {message: 'Rollback'})
await cause('read only', db.transaction(tx => tx.delete(label), {isolationLevel: 'repeatable read', accessMode: 'read only'}), {code: '25006'})

// drizzle-kit: push finds nothing to change; pull writes the schema.
const {PGHOST, PGPORT, PGUSER, PGPASSWORD, PGDATABASE} = process.env
const kit = (...options) => execFileSync(process.execPath, [join(dirname(require.resolve('drizzle-kit')), 'bin.cjs'), ...options, '--dialect=postgresql', '--tablesFilter=dz_*',
  `--url=postgres://${PGUSER}:${encodeURIComponent(PGPASSWORD)}@${PGHOST}:${PGPORT}/${PGDATABASE}`], {encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit']})
// FAILS: pg_stat_user_indexes is empty, by which the indexes of constraints are told from others; nextval() has the schema in a column's default.
// That a key of two columns is made anew is push's own.
if (ALL) {
  const pushed = kit('push', `--schema=${fileURLToPath(new URL('drizzle-schema.mjs', import.meta.url))}`, '--verbose')
  same('push', pushed.split('\n').filter(line => /^(ALTER|CREATE|DROP)/.test(line) && !line.includes('dz_labelled_book_id_label_id_pk')), [])
}
kit('pull', `--out=${folder}/pull`)
const pulled = readFileSync(join(folder, 'pull/schema.ts'), 'utf8').replace(/\s+/g, ' ')
for (const wanted of [
  `dzMood = pgEnum("dz_mood", ['sad', 'ok'])`, 'i2: smallint(), i4: integer()', 'f4: real(), f8: doublePrecision(), n: numeric(), ok: boolean(), t: text(), v: varchar({ length: 5 }), c: char({ length: 3 }), d: date()',
  `ti: time(), ts: timestamp({ mode: 'string' }), tz: timestamp({ withTimezone: true, mode: 'string' })`, 'iv: interval(), u: uuid(), j: json(), jb: jsonb(), ia: integer().array(), ta: text().array(), m: dzMood().array()',
  `mood: dzMood().default('ok')`, 'defaultNow().notNull()', 'name: "dz_author_boss_dz_author_id_fk"', 'unique("dz_author_name_unique").on(table.name)', 'sold: boolean().default(false).notNull()',
  'id: integer().primaryKey().generatedAlwaysAsIdentity({ name: "dz_book_id_seq", startWith: 1, increment: 1, minValue: 1, maxValue: 2147483647, cache: 1 })', 'price: numeric({ precision: 8, scale: 2 })',
  'index("dz_book_price").using("btree", table.price.desc().nullsLast().op("numeric_ops"))', 'uniqueIndex("dz_book_title").using("btree", table.authorId.asc().nullsLast()', 'foreignColumns: [dzAuthor.id], name: "dz_book_author_id_dz_author_id_fk" }).onDelete("cascade")',
  'id: uuid().defaultRandom().primaryKey().notNull()', 'name: "dz_labelled_book_id_label_id_pk"}', 'check("dz_book_positive", sql`', 'dzCheap = pgView("dz_cheap", { title: text(), price: numeric({ precision: 8, scale: 2 }), }).as(sql`',
  // FAILS: see push; expressions are not written as PostgreSQL writes them.
  ...ALL ? ['id: serial().primaryKey()', 'generatedAlwaysAs(sql`((price * (100)::numeric))::integer`)', 'check("dz_book_positive", sql`price > (0)::numeric`)', '.as(sql`SELECT title, price FROM dz_book WHERE price < \'2\'::numeric`)'] : [],
]) if (!pulled.includes(wanted)) throw new Error(`pull: wanted ${wanted}, got ${pulled}`)
if (ALL) same('pull of an index of a constraint', /(uniqueIndex|index)\("\w+_(pkey|pk|unique)/.exec(pulled)?.[0], undefined)

rmSync(folder, {recursive: true})
await db.execute(sql`DROP VIEW dz_cheap`)
await db.execute(sql`DROP TABLE dz_labelled, dz_label, dz_book, dz_author, dz_types`)
await db.execute(sql`DROP TYPE dz_mood`)
await db.execute(sql`DROP SCHEMA dz CASCADE`)
await pool.end()
