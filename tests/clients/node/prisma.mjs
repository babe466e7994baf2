// Prisma: the client without Rust over node-postgres (types, relations by LATERAL and by queries, filters, aggregates, upserts, transactions, raw SQL); migrate deploy; db push and pull.
import {execFileSync} from 'node:child_process'
import {mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync} from 'node:fs'
import {createRequire} from 'node:module'
import {tmpdir} from 'node:os'
import {dirname, join} from 'node:path'
import {fileURLToPath} from 'node:url'
import {bare, schema} from './prisma-schema.mjs'
import {ALL, fails, same} from './same.mjs'

process.env.TZ = 'UTC'
const require = createRequire(import.meta.url)
const {PGHOST, PGPORT, PGUSER, PGPASSWORD, PGDATABASE} = process.env
const url = `postgres://${PGUSER}:${encodeURIComponent(PGPASSWORD)}@${PGHOST}:${PGPORT}/${PGDATABASE}`
const folder = mkdtempSync(join(tmpdir(), 'prisma'))
symlinkSync(join(dirname(require.resolve('prisma/package.json')), '..'), join(folder, 'node_modules'))
writeFileSync(join(folder, 'engine'), `#!/bin/sh\nexec '${process.execPath}' '${fileURLToPath(new URL('prisma-engine.mjs', import.meta.url))}' "$@"\n`, {mode: 0o755})
writeFileSync(join(folder, 'schema.prisma'), schema)
writeFileSync(join(folder, 'prisma.config.mjs'), `export default {schema: 'schema.prisma', migrations: {path: 'migrations'}, datasource: {url: ${JSON.stringify(url)}}}`)
const cli = (...options) => execFileSync(process.execPath, [require.resolve('prisma/build/index.js'), ...options], {
  cwd: folder, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], env: {...process.env, PRISMA_SCHEMA_ENGINE_BINARY: join(folder, 'engine'), CHECKPOINT_DISABLE: '1', PRISMA_HIDE_UPDATE_MESSAGE: '1', NO_COLOR: '1'},
})
cli('generate')

// Migrations: the schema's SQL, deployed; done again, there is nothing to do.
const init = cli('migrate', 'diff', '--from-empty', '--to-schema=schema.prisma', '--script')
const view = 'CREATE VIEW pr_cheap AS SELECT title, price FROM pr_book WHERE price < 2;'
const migration = (name, text) => { mkdirSync(join(folder, 'migrations', name), {recursive: true}); writeFileSync(join(folder, 'migrations', name, 'migration.sql'), text) }
migration('1_init', init)
migration('2_view', view)
writeFileSync(join(folder, 'migrations/migration_lock.toml'), 'provider = "postgresql"\n')


const lines = text => text.split('\n').filter(line => /applied|pending|up to date|sync/.test(line))
same('migrate deploy', lines(cli('migrate', 'deploy')), ['The following migration(s) have been applied:', 'All migrations have been successfully applied.'])
same('migrate deploy again', lines(cli('migrate', 'deploy')), ['No pending migrations to apply.'])
same('migrate status', lines(cli('migrate', 'status')), ['Database schema is up to date!'])
// FAILS: what reads the database's tables, by pg_class.reltype: db push, db pull, migrate diff of a database, migrate dev.
if (ALL) {
  same('db push', lines(cli('db', 'push')), ['The database is already in sync with the Prisma schema.'])
  same('migrate diff', cli('migrate', 'diff', '--from-config-datasource', '--to-schema=schema.prisma', '--script').trim(), '-- This is an empty migration.')
  writeFileSync(join(folder, 'bare.prisma'), bare)
  const pulled = cli('db', 'pull', '--print', '--schema=bare.prisma').replace(/ +/g, ' ')
  for (const wanted of [
    'model pr_author {', ' id Int @id @default(autoincrement())', ' email String @unique @db.VarChar(40)', ' mood pr_mood @default(OK)', ' tags String[] @default(["new"])', ' scores Int[]', ' info Json?', ' visits BigInt @default(0)',
    ' made DateTime @default(now()) @db.Timestamptz(3)', ' pr_author pr_author? @relation("pr_authorTopr_author", fields: [boss], references: [id])', ' id String @id @db.Uuid', ' authorId Int @unique', ' price Decimal? @db.Decimal(8, 2)', ' sold Boolean @default(false)',
    ' pr_author pr_author @relation(fields: [author_id], references: [id], onDelete: Cascade)', ' @@unique([author_id, title], map: "pr_book_title")', ' @@index([price(sort: Desc), sold], map: "pr_book_price")', ' @@id([book_id, reader])', ' @@schema("pr")', ' a String @id @default(dbgenerated("gen_random_uuid()")) @db.Uuid',
    ' i2 Int? @db.SmallInt', ' f4 Float? @db.Real', ' n Decimal?', ' v String? @db.VarChar(5)', ' c String? @db.Char(3)', ' b Bytes?', ' d DateTime? @db.Date', ' ti DateTime? @db.Time(3)', ' ts DateTime?', ' ts0 DateTime? @db.Timestamp(0)', ' tz DateTime? @db.Timestamptz(6)',
    ' j Json? @db.Json', ' m pr_mood?', ' na Decimal[] @db.Decimal(10, 2)', ' ua String[] @db.Uuid', ' ma pr_mood[]', ' ip String? @db.Inet', 'enum pr_mood {\n sad\n OK\n very_glad @map("very glad")',
  ]) if (!pulled.includes(`${wanted}\n`)) throw new Error(`db pull: wanted ${wanted}, got ${pulled}`)
}

const log = []
const {Prisma, PrismaClient} = require(join(folder, 'client'))
const {PrismaPg} = require('@prisma/adapter-pg')
const db = new PrismaClient({adapter: new PrismaPg({connectionString: url, max: 4}), log: [{emit: 'event', level: 'query'}]})
db.$on('query', event => log.push(event.query))
const dec = text => new Prisma.Decimal(text)
const {sql} = Prisma
const code = (statement, promise, wanted, meta) => fails(statement, promise, {code: wanted}).then(error => {
  const cause = error.meta?.driverAdapterError?.cause
  if (meta) same(`${statement}: what it says`, {model: error.meta?.modelName, target: error.meta?.target, kind: cause?.kind, code: cause?.originalCode, constraint: cause?.constraint}, {model: undefined, target: undefined, kind: undefined, code: undefined, constraint: undefined, ...meta})
})

// Every type, and NULL.
// FAILS: a Decimal of no other type, which is numeric(65, 30).
const at = new Date('2020-01-02T03:04:05.678Z')
const uuid = '6f1c2a34-0000-4000-8000-000000000005'
const day = new Date('2020-02-29')
const row = {
  id: 1, i2: -5, i4: 123456, i8: 9007199254740993n, f4: 1.5, f8: -0.1, n: dec('12345678901234567.125'), n2: dec('1234.5'), ok: true, t: 'aé"\'\\\n', v: 'abc', c: 'a  ', u: uuid, b: new Uint8Array([0, 255, 92]),
  d: day, ti: new Date('1970-01-01T01:02:03.500Z'), ts: at, ts0: new Date('2020-01-02T03:04:06Z'), tz: at, j: {a: [1, null, 'x']}, jb: {b: {c: 'é'}}, m: 'GLAD', i2a: [1, -2], i4a: [1, 2], i8a: [9007199254740993n], f8a: [1.5, -2],
  na: [dec('1.5'), dec('2')], oka: [true, false], ta: ['a', 'b,"c\\', '', 'NULL'], va: ['x'], ua: [uuid], ba: [new Uint8Array([1]), new Uint8Array([255])], da: [day], tsa: [at], tza: [at], jba: [{a: 1}, [2], 'x'], ma: ['SAD', 'GLAD'],
}
const plain = value => value === null || typeof value !== 'object' ? value : Prisma.Decimal.isDecimal(value) ? `decimal ${value}` : value instanceof Date ? value.toISOString() : value instanceof Uint8Array ? `bytes ${Buffer.from(value).toString('hex')}` :
  Array.isArray(value) ? value.map(plain) : Object.fromEntries(Object.entries(value).map(([key, part]) => [key, plain(part)]))
const alike = (statement, got, wanted) => same(statement, plain(got), plain(wanted))
alike('create of every type', await db.types.create({data: {...row, ts0: at}}), row)
alike('findUnique of every type', await db.types.findUnique({where: {id: 1}}), row)
const empty = Object.fromEntries(Object.entries(row).map(([key, value]) => [key, Array.isArray(value) ? [] : null]))
alike('create of NULLs', await db.types.create({data: {id: 2}}), {...empty, id: 2})
alike('createManyAndReturn of NULLs', await db.types.createManyAndReturn({data: [{...empty, id: 3, j: Prisma.DbNull, jb: Prisma.JsonNull}]}), [{...empty, id: 3}])
for (const [key, value] of Object.entries(row)) { // json has no equality; for bytea[] Prisma finds nothing
  const equals = key === 'jb' ? {equals: value} : Array.isArray(value) ? {equals: value} : value
  if (key !== 'j' && key !== 'ba') same(`where ${key} =`, (await db.types.findMany({where: {[key]: equals}, select: {id: true}})).map(r => r.id), [1])
  const {...changed} = await db.types.update({where: {id: 2}, data: {[key]: key === 'id' ? 2 : value}})
  if (key !== 'id') alike(`update of ${key}`, changed[key], row[key])
}
alike('update of every type', await db.types.findUnique({where: {id: 2}}), {...row, id: 2})
await db.types.update({where: {id: 2}, data: {...empty, id: 2, j: Prisma.DbNull, jb: Prisma.DbNull}})
const ids = async where => (await db.types.findMany({where, orderBy: {id: 'asc'}, select: {id: true}})).map(r => r.id)
for (const [name, where, wanted] of [
  ['null', {i4: null}, [2, 3]], ['not null', {i4: {not: null}}, [1]], ['lists: has', {ta: {has: 'a'}}, [1]], ['has, numbers', {i8a: {has: 9007199254740993n}}, [1]], ['hasEvery', {i4a: {hasEvery: [2, 1]}}, [1]], ['hasSome', {ua: {hasSome: [uuid]}}, [1]],
  ['hasSome of an enumeration', {ma: {hasSome: ['GLAD', 'OK']}}, [1]], ['has, an enumeration', {ma: {has: 'SAD'}}, [1]], ['hasEvery of decimals', {na: {hasEvery: [dec('1.5')]}}, [1]], ['isEmpty', {ta: {isEmpty: true}}, [2, 3]], ['isEmpty: false', {oka: {isEmpty: false}}, [1]],
  ['JSON null', {jb: {equals: Prisma.JsonNull}}, [3]], ['no JSON', {jb: {equals: Prisma.DbNull}}, [2]], ['either', {jb: {equals: Prisma.AnyNull}}, [2, 3]], ['JSON of type json', {j: {path: ['a', '0'], equals: 1}}, [1]],
  ['bigint in', {i8: {in: [1n, 9007199254740993n]}}, [1]], ['decimal >', {n: {gt: dec('12345678901234567.1')}}, [1]], ['bytes not', {b: {not: new Uint8Array([1])}}, [1]], ['date <', {d: {lt: new Date('2020-03-01')}}, [1]], ['date in', {d: {in: [day]}}, [1]],
  ['time >=', {ti: {gte: new Date('1970-01-01T01:02:03Z')}}, [1]], ['timestamp between', {ts: {gte: at, lte: at}}, [1]], ['timestamptz in', {tz: {in: [at]}}, [1]], ['uuid in', {u: {in: [uuid]}}, [1]], ['enumeration notIn', {m: {notIn: ['SAD']}}, [1]], ['boolean not', {ok: {not: false}}, [1]],
  ['NOT', {NOT: {i4: 5}}, [1]], ['OR of nothing', {OR: []}, []], ['AND of nothing', {AND: []}, [1, 2, 3]], ['fields', {i4: {gt: db.types.fields.i2}}, [1]], ['in of nothing', {i4: {in: []}}, []], ['real <', {f4: {lt: 1.6}}, [1]],
]) same(`where ${name}`, await ids(where), wanted)
alike('push to lists', await db.types.update({where: {id: 1}, data: {ta: {push: 'z'}, i4a: {push: [7, 8]}, ma: {push: 'OK'}, jba: {push: {p: 1}}, tsa: {push: at}}, select: {ta: true, i4a: true, ma: true, jba: true, tsa: true}}),
  {ta: [...row.ta, 'z'], i4a: [1, 2, 7, 8], ma: ['SAD', 'GLAD', 'OK'], jba: [...row.jba, {p: 1}], tsa: [at, at]})
alike('arithmetic', await db.types.update({where: {id: 1}, data: {i2: {increment: 1}, i4: {multiply: 2}, i8: {decrement: 1n}, f8: {divide: 2}, n2: {increment: dec('0.25')}, n: {multiply: 2}}, select: {i2: true, i4: true, i8: true, f8: true, n2: true, n: true}}),
  {i2: -4, i4: 246912, i8: 9007199254740992n, f8: -0.05, n2: dec('1234.75'), n: dec('24691357802469134.25')})
await code('a number too large', db.types.create({data: {id: 9, i2: 40000}}), 'P2020')
await code('a text too long', db.types.create({data: {id: 9, v: 'abcdef'}}), 'P2000')
await code('an id twice', db.types.create({data: {id: 1}}), 'P2002', {model: 'Types', kind: 'UniqueConstraintViolation', code: '23505', constraint: {index: 'pr_types_pkey'}})

// FAILS: columns of oid, bit, bit varying, money.
if (ALL) {
  const odd = {id: 1, ip: '10.0.0.1', o: 7, b: '101', vb: '11', m: dec('1.5'), tz: new Date('1970-01-01T01:02:03Z')}
  alike('odd types', await db.odd.create({data: odd}), odd)
  same('a parameter compared with odd types', await db.odd.count({where: {ip: '10.0.0.1', o: 7, b: '101', vb: '11', m: dec('1.5')}}), 1)
}

// Defaults of the client and of the database.
const key = await db.key.create({data: {n: 1}})
for (const [name, pattern] of [['a', /^[\da-f-]{36}$/], ['b', /^c[\da-z]{20,}$/], ['c', /^[\w-]{21}$/], ['d', /^[\dA-Z]{26}$/], ['e', /^[\da-f]{8}-[\da-f]{4}-7/]]) same(`a default: ${name}`, pattern.test(key[name]), true)
same('createMany', await db.key.createMany({data: [{n: 2, s: 'x'}, {n: null, s: 'y%_\\'}, {n: 3}]}), {count: 3})


// Relations: what is nested in a create, an update, a delete.
const ann = await db.author.create({
  data: {email: 'ann@x', name: 'Ann', tags: ['a', 'b'], scores: [1, 2], info: {born: 1900, at: {town: 'X'}, list: ['p', {q: 1}], 'a.b': 'dot'}, profile: {create: {text: 'p'}},
    books: {create: [{title: 'one', price: dec('1.5'), labels: {create: [{text: 'red'}, {text: 'blue'}]}, reviews: {create: {reader: 'r', stars: 5}}}, {title: 'two', price: 2, labels: {connectOrCreate: {where: {text: 'red'}, create: {text: 'red'}}}}]}},
  include: {profile: true, books: {include: {labels: {orderBy: {text: 'asc'}}, reviews: true}, orderBy: {id: 'asc'}}},
})
alike('create with relations', [ann.id, ann.mood, ann.visits, ann.made instanceof Date, ann.boss, ann.profile.text, ann.books.map(b => [b.title, b.price, b.labels.map(l => [l.id, l.text]), b.reviews.map(r => r.stars)])],
  [1, 'OK', 0n, true, undefined, 'p', [['one', dec('1.5'), [[2n, 'blue'], [1n, 'red']], [5]], ['two', dec(2), [[1n, 'red']], []]]])
const bob = await db.author.create({data: {email: 'bob@x', name: 'Bob', mood: 'SAD', boss: {connect: {email: 'ann@x'}}, info: {born: 1950, list: []}, books: {createMany: {data: [{title: 'three', price: '30.25', sold: true}]}}}})
const cid = await db.author.create({data: {email: 'CID@y', bossId: ann.id, scores: {set: [9]}}})
same('defaults of lists', [cid.tags, cid.scores, bob.scores, cid.info], [['new'], [9], [], null])
await code('a connect that finds nothing', db.author.create({data: {email: 'x', boss: {connect: {id: 99}}}}), 'P2025')
for (const strategy of ['join', 'query']) {
  const found = await db.author.findMany({
    relationLoadStrategy: strategy, orderBy: {id: 'asc'}, select: {name: true, boss: {select: {name: true}}, workers: {select: {email: true}, orderBy: {email: 'asc'}}, profile: {omit: {secret: true, id: true}}, _count: {select: {books: {where: {sold: false}}, workers: true}},
      books: {where: {price: {gt: 1}}, orderBy: {price: 'desc'}, take: 1, select: {title: true, price: true, labels: {select: {text: true, id: true}, orderBy: {text: 'asc'}}, reviews: true}}},
  })
  alike(`relations by ${strategy}`, found, [
    {name: 'Ann', boss: null, workers: [{email: 'CID@y'}, {email: 'bob@x'}], profile: {text: 'p', authorId: 1}, _count: {books: 2, workers: 2}, books: [{title: 'two', price: dec(2), labels: [{text: 'red', id: 1n}], reviews: []}]},
    {name: 'Bob', boss: {name: 'Ann'}, workers: [], profile: null, _count: {books: 0, workers: 0}, books: [{title: 'three', price: dec('30.25'), labels: [], reviews: []}]},
    {name: null, boss: {name: 'Ann'}, workers: [], profile: null, _count: {books: 0, workers: 0}, books: []}])
  alike(`every type by ${strategy}`, await db.author.findFirst({relationLoadStrategy: strategy, where: {email: 'bob@x'}, include: {boss: true, books: true}}).then(b => [b.boss, b.books]),
    [await db.author.findUnique({where: {id: ann.id}}), await db.book.findMany({where: {authorId: bob.id}})])
  same(`nested pages by ${strategy}`, await db.author.findMany({relationLoadStrategy: strategy, where: {id: 1}, select: {books: {orderBy: {id: 'asc'}, cursor: {id: 1}, skip: 1, take: 1, select: {title: true}}}}), [{books: [{title: 'two'}]}])
  same(`nested distinct by ${strategy}`, await db.author.findMany({relationLoadStrategy: strategy, where: {id: 1}, select: {books: {distinct: ['sold'], orderBy: [{sold: 'asc'}, {id: 'desc'}], select: {title: true}}}}), [{books: [{title: 'two'}]}])
  alike(`three levels by ${strategy}`, await db.label.findMany({relationLoadStrategy: strategy, orderBy: {text: 'asc'}, select: {text: true, books: {orderBy: {id: 'asc'}, select: {title: true, author: {select: {profile: {select: {text: true}}}}}}}}),
    [{text: 'blue', books: [{title: 'one', author: {profile: {text: 'p'}}}]}, {text: 'red', books: [{title: 'one', author: {profile: {text: 'p'}}}, {title: 'two', author: {profile: {text: 'p'}}}]}])
}

// Conditions.
const names = async (where, more) => (await db.author.findMany({where, orderBy: {id: 'asc'}, ...more})).map(a => a.email[0])
for (const [name, where, wanted] of [
  ['contains', {name: {contains: 'n'}}, ['a']], ['startsWith', {email: {startsWith: 'b'}}, ['b']], ['endsWith', {email: {endsWith: '@x'}}, ['a', 'b']], ['insensitive', {email: {contains: 'cid', mode: 'insensitive'}}, ['C']], ['equals insensitive', {email: {equals: 'cid@Y', mode: 'insensitive'}}, ['C']],
  ['startsWith insensitive', {email: {startsWith: 'c', mode: 'insensitive'}}, ['C']], ['in insensitive', {email: {in: ['cid@y', 'ANN@X'], mode: 'insensitive'}}, ['a', 'C']], ['not contains', {NOT: {email: {contains: '@x'}}}, ['C']], ['notIn', {id: {notIn: [1, 2]}}, ['C']], ['in', {email: {in: ['ann@x', 'z']}}, ['a']],
  ['in and null', {OR: [{name: {in: ['Bob']}}, {name: null}]}, ['b', 'C']], ['some', {books: {some: {price: {lt: 2}}}}, ['a']], ['every', {books: {every: {sold: true}}}, ['b', 'C']], ['none', {books: {none: {}}}, ['C']], ['some of none', {books: {some: {labels: {none: {}}}}}, ['b']],
  ['is', {boss: {is: {name: 'Ann'}}}, ['b', 'C']], ['isNot', {profile: {isNot: null}}, ['a']], ['is null', {boss: null}, ['a']], ['deep', {books: {some: {labels: {some: {text: 'blue'}}, reviews: {every: {stars: {gte: 5}}}}}}, ['a']], ['a relation of a relation', {boss: {books: {some: {author: {email: 'ann@x'}}}}}, ['b', 'C']],
  ['JSON path', {info: {path: ['at', 'town'], equals: 'X'}}, ['a']], ['JSON path of a number', {info: {path: ['born'], equals: 1950}}, ['b']], ['JSON >', {info: {path: ['born'], gt: 1900}}, ['b']], ['JSON string_contains', {info: {path: ['at', 'town'], string_contains: 'X'}}, ['a']],
  ['JSON string_starts_with', {info: {path: ['a.b'], string_starts_with: 'd'}}, ['a']], ['JSON string insensitive', {info: {path: ['at', 'town'], string_ends_with: 'x', mode: 'insensitive'}}, ['a']], ['JSON array_contains', {info: {path: ['list'], array_contains: ['p']}}, ['a']],
  ['JSON array_starts_with', {info: {path: ['list'], array_starts_with: 'p'}}, ['a']], ['JSON array_ends_with', {info: {path: ['list'], array_ends_with: {q: 1}}}, ['a']], ['JSON not', {info: {path: ['born'], not: 1900}}, ['b']], ['JSON equals', {info: {equals: {list: [], born: 1950}}}, ['b']],
  ['wildcards in a value', {name: {contains: '_%'}}, ['a', 'b']], ['equal columns', {email: {equals: db.author.fields.name}}, []], ['list of a column', {scores: {has: 2}}, ['a']], ['list equals', {scores: {equals: [9]}}, ['C']]]) same(`where ${name}`, await names(where), wanted)
// FAILS: full-text search.
if (ALL) same('search', await names({name: {search: 'ann | bob'}}), ['a', 'b'])
same('escapes of LIKE', (await db.key.findMany({where: {s: {contains: '\\%'}}})).map(k => k.s), ['y%_\\'])
same('where of the unique pair', (await db.book.findUnique({where: {by: {authorId: 1, title: 'two'}, sold: false}})).id, 2)
same('findUnique in one batch', (await Promise.all([1, 2, 9].map(id => db.book.findUnique({where: {id}})))).map(b => b?.title), ['one', 'two', undefined])
same('the composite key', [(await db.review.findUnique({where: {bookId_reader: {bookId: 1, reader: 'r'}}})).stars, await db.review.findMany({where: {OR: [{bookId: 1, reader: 'r'}, {bookId: 2, reader: 'q'}]}}).then(r => r.length)], [5, 1])
same('fluent', (await db.book.findUnique({where: {id: 1}}).author().profile()).text, 'p')

// Order, pages, distinct, aggregates.
const ns = async more => (await db.key.findMany(more)).map(k => k.n)
for (const [name, more, wanted] of [
  ['nulls first', {orderBy: {n: {sort: 'asc', nulls: 'first'}}}, [null, 1, 2, 3]], ['nulls last', {orderBy: {n: {sort: 'desc', nulls: 'last'}}}, [3, 2, 1, null]], ['nulls by default', {orderBy: {n: 'desc'}}, [null, 3, 2, 1]], ['two', {orderBy: [{s: {sort: 'asc', nulls: 'last'}}, {n: 'desc'}]}, [2, null, 3, 1]],
  ['skip, take', {orderBy: {n: 'asc'}, skip: 1, take: 2}, [2, 3]], ['take the last', {orderBy: {n: 'asc'}, take: -2}, [3, null]], ['take 0', {take: 0}, []],
]) same(`orderBy ${name}`, await ns(more), wanted)
const titles = async more => (await db.book.findMany(more)).map(b => b.title)
same('cursor', [await titles({orderBy: {id: 'asc'}, cursor: {id: 2}, take: 2}), await titles({orderBy: {title: 'asc'}, cursor: {id: 3}, skip: 1, take: 1}), await titles({orderBy: {id: 'asc'}, cursor: {id: 2}, take: -2}), await titles({orderBy: [{price: 'desc'}, {id: 'asc'}], cursor: {by: {authorId: 1, title: 'two'}}}), await titles({cursor: {id: 99}, orderBy: {id: 'asc'}})],
  [['two', 'three'], ['two'], ['one', 'two'], ['two', 'one'], []])
same('orderBy of relations', [await titles({orderBy: [{author: {name: 'desc'}}, {id: 'desc'}]}), await names({}, {orderBy: [{books: {_count: 'desc'}}, {id: 'asc'}]}), await names({}, {orderBy: [{boss: {name: 'asc'}}, {id: 'desc'}]}), await titles({orderBy: [{labels: {_count: 'desc'}}, {id: 'asc'}], take: 2})],
  [['three', 'two', 'one'], ['a', 'b', 'C'], ['C', 'b', 'a'], ['one', 'two']])
same('distinct', [await titles({distinct: ['authorId'], orderBy: [{authorId: 'asc'}, {price: 'desc'}]}), (await db.author.findMany({distinct: ['mood'], orderBy: {id: 'asc'}, select: {mood: true}})).map(a => a.mood), (await db.book.findMany({distinct: ['sold', 'authorId'], orderBy: {id: 'asc'}, skip: 1})).map(b => b.id)], [['two', 'three'], ['OK', 'SAD'], [3]])
alike('aggregate', await db.book.aggregate({_count: {_all: true, price: true}, _sum: {price: true, stock: true}, _avg: {price: true, stock: true, id: true}, _min: {title: true, price: true}, _max: {id: true, title: true, price: true}, where: {id: {gt: 0}}}),
  {_count: {_all: 3, price: 3}, _sum: {price: dec('33.75'), stock: 3}, _avg: {price: dec('11.25'), stock: 1, id: 2}, _min: {title: 'one', price: dec('1.5')}, _max: {id: 3, title: 'two', price: dec('30.25')}})
alike('aggregate of bigint, dates', await db.author.aggregate({_sum: {visits: true}, _avg: {visits: true}, _max: {visits: true, name: true}, _min: {made: true}}).then(a => [a._sum, a._avg, a._max, a._min.made instanceof Date]), [{visits: 0n}, {visits: 0}, {visits: 0n, name: 'Bob'}, true])
alike('aggregate of nothing', await db.book.aggregate({where: {id: -1}, _sum: {price: true}, _count: true}), {_sum: {price: null}, _count: 0})
same('count', [await db.book.count(), await db.book.count({where: {author: {name: 'Ann'}}}), await db.key.count({select: {_all: true, n: true}}), await db.book.count({take: 2}), await db.book.count({skip: 1, orderBy: {id: 'asc'}, cursor: {id: 2}})], [3, 2, {_all: 4, n: 3}, 2, 1])
alike('groupBy', await db.book.groupBy({by: ['authorId', 'sold'], where: {id: {lt: 100}}, _count: {_all: true}, _sum: {price: true}, _avg: {stock: true}, _max: {title: true}, having: {price: {_sum: {gt: 3}}, authorId: {lt: 50}}, orderBy: {_sum: {price: 'desc'}}, take: 5}),
  [{authorId: 2, sold: true, _count: {_all: 1}, _sum: {price: dec('30.25')}, _avg: {stock: 1}, _max: {title: 'three'}}, {authorId: 1, sold: false, _count: {_all: 2}, _sum: {price: dec('3.5')}, _avg: {stock: 1}, _max: {title: 'two'}}])
same('orderBy of an enumeration', await names({}, {orderBy: [{mood: 'asc'}, {id: 'asc'}]}), ['b', 'a', 'C'])
same('groupBy of an enumeration', await db.author.groupBy({by: 'mood', _count: true, orderBy: {mood: 'desc'}, having: {OR: [{id: {_count: {gte: 2}}}, {mood: 'SAD'}]}}), [{mood: 'OK', _count: 2}, {mood: 'SAD', _count: 1}])
alike('a view', await db.cheap.findMany({orderBy: {title: 'asc'}}), [{title: 'one', price: dec('1.5')}])

// Many rows at once; upserts.
same('createMany, skipDuplicates', await db.label.createMany({data: [{text: 'red'}, {text: 'green'}], skipDuplicates: true}), {count: 1})
same('createManyAndReturn', await db.book.createManyAndReturn({data: [{title: 'four', authorId: 2}, {title: 'one', authorId: 1}], skipDuplicates: true, select: {title: true, author: {select: {name: true}}}}), [{title: 'four', author: {name: 'Bob'}}])
same('updateMany', await db.book.updateMany({where: {author: {name: 'Ann'}, labels: {some: {text: 'red'}}}, data: {stock: {increment: 2}}}), {count: 2})
same('updateMany, limit', await db.book.updateMany({where: {stock: 3}, data: {stock: 4}, limit: 1}), {count: 1})
alike('updateManyAndReturn', await db.book.updateManyAndReturn({where: {sold: true}, data: {price: {multiply: 2}}, select: {title: true, price: true}}), [{title: 'three', price: dec('60.5')}])
same('deleteMany', [await db.book.deleteMany({where: {title: 'four', author: {is: {name: 'Bob'}}}}), await db.book.deleteMany({where: {id: -1}, limit: 3})], [{count: 1}, {count: 0}])
log.length = 0
same('upsert: update', await db.author.upsert({where: {email: 'bob@x'}, create: {email: 'bob@x'}, update: {visits: {increment: 3}, mood: 'GLAD'}}).then(a => [a.id, a.mood, a.visits]), [2, 'GLAD', 3n])
same('upsert is ON CONFLICT', [log.length, /ON CONFLICT \("email"\) DO UPDATE/.test(log[0])], [1, true])
same('upsert: insert', await db.label.upsert({where: {text: 'new'}, create: {text: 'new'}, update: {text: 'old'}}).then(l => l.text), 'new')
same('upsert of a composite key', await db.review.upsert({where: {bookId_reader: {bookId: 1, reader: 'r'}}, create: {bookId: 1, reader: 'r', stars: 1}, update: {stars: {decrement: 1}}}).then(r => r.stars), 4)
same('upsert with relations', await db.author.upsert({where: {email: 'dan@z'}, create: {email: 'dan@z', books: {create: {title: 'd'}}}, update: {name: 'no'}, include: {books: true}}).then(a => [a.name, a.books.length]), [null, 1])
same('upserts at once', await Promise.allSettled(Array.from({length: 6}, () => db.label.upsert({where: {text: 'race'}, create: {text: 'race'}, update: {text: 'race'}}))).then(s => s.map(r => r.value?.text ?? r.reason.code)), Array(6).fill('race'))

// What is nested in an update.
const changed = await db.author.update({
  where: {id: ann.id}, include: {books: {orderBy: {id: 'asc'}, include: {labels: {orderBy: {text: 'asc'}}}}, profile: true, workers: true},
  data: {name: {set: 'Anna'}, tags: {push: ['c']}, info: {born: 1901}, profile: {update: {text: 'q'}}, workers: {disconnect: [{email: 'CID@y'}]},
    books: {update: {where: {id: 1}, data: {price: {increment: 1}, labels: {disconnect: {text: 'blue'}, connect: [{text: 'green'}]}}}, updateMany: {where: {title: 'two'}, data: {sold: true}}, upsert: {where: {id: 77}, create: {title: 'up'}, update: {title: 'no'}}, create: {title: 'last'}}},
})
alike('update of relations', [changed.name, changed.tags, changed.info, changed.profile.text, changed.workers.map(w => w.email), changed.books.map(b => [b.title, b.price, b.sold, b.labels.map(l => l.text)]).sort()],
  ['Anna', ['a', 'b', 'c'], {born: 1901}, 'q', ['bob@x'], [['last', null, false, []], ['one', dec('2.5'), false, ['green', 'red']], ['two', dec(2), true, ['red']], ['up', null, false, []]]])
same('set, delete, deleteMany', await db.author.update({where: {id: ann.id}, data: {profile: {delete: true}, workers: {set: [{id: cid.id}]}, books: {delete: {by: {authorId: ann.id, title: 'last'}}, deleteMany: {title: 'up'}}}, select: {profile: true, workers: {select: {email: true}}, _count: {select: {books: true}}}}),
  {profile: null, workers: [{email: 'CID@y'}], _count: {books: 2}})
alike('set of many-to-many', (await db.label.update({where: {text: 'green'}, data: {books: {set: [{id: 2}, {id: 3}]}}, select: {books: {select: {title: true}, orderBy: {id: 'asc'}}}})).books, [{title: 'two'}, {title: 'three'}])
same('update with a condition', await db.author.update({where: {id: ann.id, mood: 'OK'}, data: {bossId: null, boss: undefined}, select: {id: true}}), {id: 1})
same('delete', await db.label.delete({where: {text: 'race'}, select: {text: true}}), {text: 'race'})

// Errors.
await code('a unique key', db.author.create({data: {email: 'ann@x'}}), 'P2002', {model: 'Author', kind: 'UniqueConstraintViolation', code: '23505', constraint: {index: 'pr_author_email_key'}})
await code('a unique pair', db.book.create({data: {title: 'one', authorId: 1}}), 'P2002', {model: 'Book', kind: 'UniqueConstraintViolation', code: '23505', constraint: {index: 'pr_book_title'}})
await code('update of nothing', db.author.update({where: {id: 99}, data: {name: 'x'}}), 'P2025')
await code('delete of nothing', db.author.delete({where: {id: 99}}), 'P2025')
await code('findUniqueOrThrow', db.author.findUniqueOrThrow({where: {id: 99}}), 'P2025')
await code('findFirstOrThrow', db.author.findFirstOrThrow({where: {name: 'nobody'}}), 'P2025')
await code('a raw statement', db.$queryRaw`SELECT * FROM nowhere`, 'P2010', {kind: 'TableDoesNotExist', code: '42P01'})
await code('NULL in a raw statement', db.$executeRaw`UPDATE pr_author SET email = NULL`, 'P2010', {kind: 'NullConstraintViolation', code: '23502'})
await fails('a value that is none', db.author.create({data: {email: 'x', mood: 'BAD'}}), {name: 'PrismaClientValidationError'})
// FAILS: foreign keys are not enforced.
if (ALL) {
  await code('a foreign key', db.book.create({data: {title: 'x', authorId: 99}}), 'P2003', {model: 'Book', kind: 'ForeignKeyConstraintViolation', code: '23503', constraint: {index: 'pr_book_author_id_fkey'}})
  await code('ON DELETE RESTRICT', db.book.delete({where: {id: 1}}), 'P2003', {model: 'Book', kind: 'RestrictViolation', code: '23001', constraint: {index: 'review_book_id_fkey'}})
  const gone = await db.author.create({data: {email: 'gone@x', books: {create: {title: 'gone'}}, workers: {connect: {id: cid.id}}}})
  await db.author.delete({where: {id: gone.id}})
  same('ON DELETE CASCADE, SET NULL', [await db.book.count({where: {title: 'gone'}}), (await db.author.findUnique({where: {id: cid.id}})).bossId], [0, null])
}

// Raw SQL: parameters and results of every type.
const raw = await db.$queryRaw`SELECT ${1}::int AS i, ${2n}::bigint AS b, ${1.5}::float8 AS f, ${dec('1.25')}::numeric AS n, ${'é'}::text AS t, ${true}::boolean AS ok, ${at}::timestamptz AS tz, ${at}::timestamp AS ts, ${new Uint8Array([7])}::bytea AS y, ${{a: 1}}::jsonb AS j,
  ${[1, 2]}::int[] AS ia, ${['a', 'b']}::text[] AS ta, ${uuid}::uuid AS u, ${null}::text AS nil, '2020-02-29'::date AS d, '01:02:03'::time AS ti, 'very glad'::pr_mood AS m, ARRAY['{"x":1}'::jsonb] AS ja, ARRAY[1.5::numeric] AS na`
alike('$queryRaw', raw, [{i: 1, b: 2n, f: 1.5, n: dec('1.25'), t: 'é', ok: true, tz: at, ts: at, y: new Uint8Array([7]), j: {a: 1}, ia: [1, 2], ta: ['a', 'b'], u: uuid, nil: null, d: day, ti: new Date('1970-01-01T01:02:03Z'), m: 'very glad', ja: [{x: 1}], na: [dec('1.5')]}])
same('Prisma.sql, join, raw, empty', await db.$queryRaw(sql`SELECT title FROM ${Prisma.raw('pr_book')} WHERE id IN (${Prisma.join([1, 2])}) ${true ? sql`AND title LIKE ${'t%'}` : Prisma.empty} ORDER BY id`), [{title: 'two'}])
same('= ANY', await db.$queryRaw`SELECT title FROM pr_book WHERE id = ANY(${[1, 2]}) AND title = ANY(${['one', 'x']})`, [{title: 'one'}])
same('$queryRawUnsafe', await db.$queryRawUnsafe('SELECT count(*) AS n, sum(stock) AS s FROM pr_book WHERE id < $1 AND title <> $2', 3, 'x'), [{n: 2n, s: 7n}])
same('$executeRaw', [await db.$executeRaw`UPDATE pr_book SET stock = stock + ${1} WHERE title = ${'one'}`, await db.$executeRawUnsafe('DELETE FROM pr_key WHERE s = $1', 'nothing'), await db.$executeRaw`SET application_name = 'check'`], [1, 0, 0])

// Transactions.
same('an array', await db.$transaction([db.label.create({data: {text: 't1'}}), db.label.count(), db.$executeRaw`DELETE FROM pr_label WHERE text = 't1'`], {isolationLevel: 'RepeatableRead'}).then(r => [r[0].text, r[2]]), ['t1', 1])
await code('an array, one fails', db.$transaction([db.label.create({data: {text: 't2'}}), db.label.create({data: {text: 'red'}})]), 'P2002')
same('what it did', await db.label.count({where: {text: 't2'}}), 0)
// FAILS: SERIALIZABLE; READ UNCOMMITTED is called READ COMMITTED.
for (const [isolationLevel, wanted] of [['ReadCommitted', 'read committed'], ['RepeatableRead', 'repeatable read'], ...ALL ? [['ReadUncommitted', 'read uncommitted'], ['Serializable', 'serializable']] : []])
  same(`in ${isolationLevel}`, await db.$transaction(tx => tx.$queryRaw`SELECT current_setting('transaction_isolation') AS i`, {isolationLevel}), [{i: wanted}])
same('interactive', await db.$transaction(async tx => {
  const made = await tx.label.create({data: {text: 'inside'}})
  same('unseen outside', await db.label.count({where: {text: 'inside'}}), 0)
  await tx.author.update({where: {id: 1}, data: {visits: {increment: 1}}})
  return made.text
}), 'inside')
same('seen now', await db.label.count({where: {text: 'inside'}}), 1)
await fails('rollback', db.$transaction(async tx => { await tx.label.deleteMany(); throw new Error('undo') }), {message: 'undo'})
await code('an error inside', db.$transaction(async tx => { await tx.label.create({data: {text: 'lost'}}); await tx.label.create({data: {text: 'red'}}) }), 'P2002')
same('after them', [await db.label.count({where: {text: 'lost'}}), await db.label.count({where: {text: 'red'}})], [0, 1])
await db.$transaction(async tx => {
  await code('caught inside', tx.label.create({data: {text: 'red'}}), 'P2002')
  await code('after it', tx.label.count(), 'P2039', {model: 'Label', kind: 'postgres', code: '25P02'})
})
await code('a timeout', db.$transaction(async tx => { await tx.label.create({data: {text: 'slow'}}); await new Promise(resolve => setTimeout(resolve, 400)); await tx.label.count() }, {timeout: 100}), 'P2028')
same('after the timeout', await db.label.count({where: {text: 'slow'}}), 0)
await code('a conflict', (async () => db.$transaction(async tx => { await tx.author.findFirst({where: {id: 1}}); await db.author.update({where: {id: 1}, data: {visits: 1}}); await tx.author.update({where: {id: 1}, data: {visits: 2}}) }, {isolationLevel: 'RepeatableRead'}))(), 'P2034')
{
  let [first, second, open] = [null, null, Promise.withResolvers?.() ?? (() => { let resolve; const promise = new Promise(done => { resolve = done }); return {promise, resolve} })()]
  const lock = (mine, other, wait) => db.$transaction(async tx => { await tx.author.update({where: {id: mine}, data: {visits: 5}}); await wait(); await tx.author.update({where: {id: other}, data: {visits: 6}}) }, {timeout: 20000})
  let both = 0
  const wait = async () => { if (++both === 2) open.resolve(); await open.promise }
  ;[first, second] = await Promise.allSettled([lock(1, 2, wait), lock(2, 1, wait)])
  same('a deadlock', [first, second].map(s => s.reason?.code ?? s.status).sort(), ['P2034', 'fulfilled'])
}
const before = (await db.author.findUnique({where: {id: 2}})).visits
same('many at once', (await Promise.all(Array.from({length: 20}, (_, n) => db.$transaction(tx => tx.author.update({where: {id: 2}, data: {visits: {increment: 1}}, select: {id: true}}), {maxWait: 20000, timeout: 20000})))).length, 20)
same('nothing is lost', (await db.author.findUnique({where: {id: 2}})).visits - before, 20n)

// Extensions and omit.
const extended = db.$extends({
  model: {author: {byEmail: email => db.author.findUnique({where: {email}})}}, result: {author: {label: {needs: {name: true, id: true}, compute: a => `${a.id}:${a.name}`}}},
  query: {book: {async findMany({args, query}) { return query({...args, where: {...args.where, sold: true}}) }}}, client: {now: async () => (await db.$queryRaw`SELECT now() AS n`)[0].n instanceof Date},
})
same('extensions', [(await extended.author.byEmail('ann@x')).name, (await extended.author.findFirst({where: {id: 1}, select: {label: true}})).label, (await extended.book.findMany({orderBy: {id: 'asc'}})).map(b => b.title), await extended.now()], ['Anna', '1:Anna', ['two', 'three'], true])
const hiding = new PrismaClient({adapter: new PrismaPg({connectionString: url, max: 1}), omit: {author: {info: true, tags: true}}})
same('omit', [Object.keys(await hiding.author.findFirst()), 'info' in await hiding.author.findFirst({omit: {info: false}})], [['id', 'email', 'name', 'mood', 'scores', 'visits', 'made', 'changed', 'bossId'], true])
await hiding.$disconnect()

await db.$executeRaw`DROP VIEW pr_cheap`
await db.$executeRawUnsafe(`DROP TABLE "_BookToLabel", pr.review, pr_label, pr_book, pr_profile, pr_author, pr_key, pr_types, _prisma_migrations${ALL ? ', pr_odd' : ''}`)
await db.$executeRaw`DROP TYPE pr_mood`
await db.$executeRaw`DROP SCHEMA pr`
await db.$disconnect()
rmSync(folder, {recursive: true})
