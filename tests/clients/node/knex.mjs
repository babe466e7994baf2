// Knex: migrations, seeds, the schema builder, queries, joins, upserts, JSON, transactions, streams, columnInfo.
import {mkdtemp, rm, writeFile} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import makeKnex from 'knex'
import {ALL, fails, same} from './same.mjs'

process.env.TZ = 'UTC'
const {PGHOST: host, PGPORT: port, PGUSER: user, PGPASSWORD: password, PGDATABASE: database} = process.env

// Migrations in the order of their names, each in a transaction, with a lock.
const migrations = {
  one: {
    up: knex => knex.schema
      .createTable('kx_author', t => {
        t.increments('id')
        t.string('name', 40).notNullable().unique()
        t.specificType('tags', 'text[]')
        t.jsonb('info').defaultTo('{}')
        t.timestamps(true, true)
      })
      .createTable('kx_book', t => {
        t.bigIncrements('id')
        t.integer('author_id').unsigned().references('id').inTable('kx_author').onDelete('CASCADE').index()
        t.string('title').notNullable()
        t.decimal('price', 8, 2).checkPositive('kx_price')
        t.boolean('sold').notNullable().defaultTo(false)
        t.date('published')
        t.uuid('code').defaultTo(knex.fn.uuid())
        t.binary('cover')
        t.text('note').comment('what one says of it')
        t.double('weight')
        t.time('at')
        t.unique(['author_id', 'title'], {indexName: 'kx_book_title'})
      }),
    down: knex => knex.schema.dropTable('kx_book').dropTable('kx_author'),
  },
  two: {
    up: async knex => {
      await knex.schema.alterTable('kx_book', t => {
        t.renameColumn('note', 'remark')
        t.smallint('pages').defaultTo(1)
        t.dropColumn('weight')
        t.string('title', 100).notNullable().alter()
        t.index(['published', 'sold'], 'kx_book_published')
        t.setNullable('sold')
      })
      await knex('kx_author').insert([{name: 'ann', tags: ['a', 'b'], info: {born: 1900, at: {town: 'X'}}}, {name: 'bob'}])
    },
    down: async knex => {
      await knex.schema.alterTable('kx_book', t => {
        t.dropIndex([], 'kx_book_published')
        t.renameColumn('remark', 'note')
        t.dropColumn('pages')
        t.double('weight')
        t.dropNullable('sold')
      })
      await knex('kx_author').del()
    },
  },
}
const migrationSource = {
  getMigrations: async () => Object.keys(migrations), getMigrationName: name => name, getMigration: async name => migrations[name],
}
const knex = makeKnex({client: 'pg', connection: {host, port, user, password, database}, pool: {min: 0, max: 4}, migrations: {migrationSource, tableName: 'kx_migrations'}})
same('migrate up', (await knex.migrate.up())[1], ['one'])
same('migrate latest', (await knex.migrate.latest())[1], ['two'])
same('migrate list', (await knex.migrate.list()).map(part => part.length), [2, 0])
same('migrate rollback', (await knex.migrate.rollback())[1], ['two'])
same('migrate status', await knex.migrate.status(), -1)
same('migrate again', (await knex.migrate.latest())[1], ['two'])

// A seed.
const folder = await mkdtemp(join(tmpdir(), 'seeds'))
await writeFile(join(folder, 'rows.mjs'), `export const seed = async knex => {
  const [ann, bob] = await knex('kx_author').orderBy('id').pluck('id')
  await knex('kx_book').insert([
    {author_id: ann, title: 'one', price: '1.50', published: '2020-01-01'}, {author_id: ann, title: 'two', price: 2, sold: true}, {author_id: bob, title: 'three', price: '30.25', cover: Buffer.from([0, 255])}])
}`)
const [ann, bob] = await knex('kx_author').orderBy('id').pluck('id')
await knex.seed.run({directory: folder, loadExtensions: ['.mjs']})
await rm(folder, {recursive: true})

// What there is.
same('hasTable', [await knex.schema.hasTable('kx_book'), await knex.schema.hasTable('kx_none'), await knex.schema.hasColumn('kx_book', 'remark')], [true, false, true])
same('columnInfo', await knex('kx_book').columnInfo('title'), {type: 'character varying', maxLength: 100, nullable: false, defaultValue: null})
const info = await knex('kx_book').columnInfo()
// FAILS: defaults that are not literals of their type, and the schema in nextval().
if (ALL) same('columnInfo of all', Object.entries(info).map(([name, c]) => [name, c.type, c.nullable, c.defaultValue]).sort(), [
  ['at', 'time without time zone', true, null], ['author_id', 'integer', true, null], ['code', 'uuid', true, 'gen_random_uuid()'], ['cover', 'bytea', true, null],
  ['id', 'bigint', false, `nextval('kx_book_id_seq'::regclass)`], ['pages', 'smallint', true, `'1'::smallint`], ['price', 'numeric', true, null], ['published', 'date', true, null],
  ['remark', 'text', true, null], ['sold', 'boolean', true, 'false'], ['title', 'character varying', false, null]])

// Queries.
const titles = query => query.pluck('title')
const books = () => knex('kx_book as b').orderBy('b.id')
same('where', await titles(books().where({sold: false}).andWhere('price', '>', 1).whereNotNull('published')), ['one'])
same('where with a function', await titles(books().where(q => q.where('price', '<', 2).orWhereIn('title', ['three'])).whereNot('title', 'x')), ['one', 'three'])
same('whereBetween, whereLike', await titles(books().whereBetween('price', [1, 2]).whereILike('title', 'T%')), ['two'])
same('join', await books().join('kx_author as a', 'a.id', 'b.author_id').leftJoin('kx_book as c', q => q.on('c.author_id', 'a.id').andOn('c.id', '>', 'b.id')).select('b.title', 'a.name', 'c.title as next'),
  [{title: 'one', name: 'ann', next: 'two'}, {title: 'two', name: 'ann', next: null}, {title: 'three', name: 'bob', next: null}])
same('aggregates', await knex('kx_book').join('kx_author', 'kx_author.id', 'author_id').groupBy('name').select('name').count('* as n').sum('price as sum').max('published as last').havingRaw('count(*) > ?', [1]),
  [{name: 'ann', n: '2', sum: '3.50', last: new Date('2020-01-01')}])
same('countDistinct', await knex('kx_book').countDistinct('author_id as n').first(), {n: '2'})
same('exists, a subquery', await knex('kx_author as a').whereExists(knex('kx_book').whereRaw('author_id = a.id').where('price', '>', 20)).select('name', knex('kx_book').count('*').whereRaw('author_id = a.id').as('n')), [{name: 'bob', n: '1'}])
same('with', await titles(knex.with('cheap', knex('kx_book').where('price', '<', 10)).from('cheap').orderBy('price', 'desc', 'last').limit(1).offset(1)), ['one'])
same('withRecursive', await knex.withRecursive('n', q => q.select(knex.raw('1 as i')).from(knex.raw('(select 1) as one')).unionAll(q => q.select(knex.raw('i + 1')).from('n').where('i', '<', 5))).from('n').sum('i as s'), [{s: '15'}])
same('union', await titles(knex('kx_book').where('id', 1).union(knex('kx_book').select('title').where('id', 3)).orderBy('title')), ['one', 'three'])
same('window', (await books().select('title').rowNumber('n', q => q.partitionBy('author_id').orderBy('price', 'desc'))).map(r => r.n), ['2', '1', '1'])
same('distinctOn', await titles(knex('kx_book').distinctOn('author_id').orderBy([{column: 'author_id'}, {column: 'price', order: 'desc'}])), ['two', 'three'])
same('raw', (await knex.raw('SELECT ??, ?::int + ? AS s FROM ??', ['title', 1, 2, 'kx_book'])).rows.length, 3)
same('named', (await knex.raw('SELECT :a AS a, :b: FROM kx_book WHERE id = :id', {a: 'x', b: 'title', id: 1})).rows, [{a: 'x', title: 'one'}])
same('JSON', await knex('kx_author').select('name').whereJsonObject('info', {born: 1900, at: {town: 'X'}}), [{name: 'ann'}])
same('JSON that contains', await knex('kx_author').select('name').whereJsonSupersetOf('info', {born: 1900}), [{name: 'ann'}])
same('JSON paths', await knex('kx_author').select('name').jsonExtract('info', '$.at.town', 'town').whereJsonPath('info', '$.born', '>', 1800), [{name: 'ann', town: 'X'}])
same('an array', await knex('kx_author').whereRaw('? = ANY (tags)', ['a']).select('tags', 'info'), [{tags: ['a', 'b'], info: {born: 1900, at: {town: 'X'}}}])
same('bytes', (await knex('kx_book').where('title', 'three').first('cover')).cover, Buffer.from([0, 255]))

// Changes.
same('insert returning', await knex('kx_book').insert({author_id: bob, title: 'four', price: 4}).returning(['id', 'sold', 'pages']), [{id: '4', sold: false, pages: 1}])
same('onConflict merge', await knex('kx_book').insert({author_id: bob, title: 'four', price: 5}).onConflict(['author_id', 'title']).merge(['price']).returning(['title', 'price']), [{title: 'four', price: '5.00'}])
same('onConflict ignore', await knex('kx_author').insert({name: 'ann'}).onConflict('name').ignore().returning('id'), [])
same('update', await knex('kx_book').where('title', 'four').update({price: knex.raw('price * ?', [2]), remark: 'r'}, ['price', 'remark']), [{price: '10.00', remark: 'r'}])
same('increment', await knex('kx_book').where('title', 'four').increment({price: 1, pages: 2}), 1)
same('jsonSet', await knex('kx_author').where('name', 'ann').update({info: knex.jsonSet('info', '$.born', '1901')}).returning('info'), [{info: {born: 1901, at: {town: 'X'}}}])
same('updateFrom', await knex('kx_book').updateFrom('kx_author').whereRaw('kx_author.id = author_id').where('name', 'bob').update({remark: knex.ref('kx_author.name')}), 2)
same('delete using', await knex('kx_book').using('kx_author').whereRaw('kx_author.id = author_id').where({name: 'bob', title: 'four'}).del(), 1)
same('batchInsert', (await knex.batchInsert('kx_book', Array.from({length: 250}, (_, n) => ({author_id: ann, title: `b${n}`, price: n + 1})), 100).returning('id')).length, 250)

// Transactions, nested ones, errors, locks.
await fails('a transaction', knex.transaction(async trx => {
  await trx('kx_author').insert({name: 'cid'})
  await fails('a nested one', trx.transaction(inner => inner('kx_author').insert({name: 'ann'})), {code: '23505', constraint: 'kx_author_name_unique'})
  same('after the nested one', await trx('kx_author').where('name', 'cid').forUpdate().pluck('name'), ['cid'])
  throw new Error('undo')
}), {message: 'undo'})
const trx = await knex.transaction({isolationLevel: 'repeatable read', readOnly: true})
await fails('a read-only transaction', trx('kx_author').del(), {code: '25006'})
await trx.rollback()
await fails('the check', knex('kx_book').where('id', 1).update({price: -1}), {code: '23514', constraint: 'kx_price'})
await fails('an unknown column', knex('kx_book').select('nope'), {code: '42703', position: '8'})
await fails('a timeout', knex.raw('SELECT count(*) FROM generate_series(1, 1000000) a, generate_series(1, 1000000) b').timeout(200, {cancel: true}), {name: 'KnexTimeoutError'})

// Streams, and the pool.
let sum = 0
for await (const row of knex('kx_book').select('price').whereLike('title', 'b%').stream()) sum += Number(row.price)
same('a stream', sum, 31375)
same('the pool', (await Promise.all(Array.from({length: 30}, (_, n) => knex.select(knex.raw('?::int AS n', [n])).first()))).map(r => r.n), [...Array(30).keys()])

// Views, names, schemas.
await knex.schema.createViewOrReplace('kx_cheap', v => { v.columns(['title', 'price']); v.as(knex('kx_book').select('title', 'price').where('price', '<', 2)) })
same('a view', await titles(knex('kx_cheap').orderBy('title')), ['b0', 'one'])
await knex.schema.dropView('kx_cheap').createSchemaIfNotExists('kx')
await knex.schema.withSchema('kx').createTable('t', t => { t.uuid('id').primary(); t.enu('mood', ['sad', 'ok']).defaultTo('ok') })
await fails('an enumeration', knex.withSchema('kx').table('t').insert({id: knex.fn.uuid(), mood: 'bad'}), {code: '23514', constraint: 't_mood_check'})
await knex.schema.renameTable('kx_author', 'kx_writer')
same('a renamed table', await knex('kx_writer').count('* as n'), [{n: '2'}])
await knex.schema.renameTable('kx_writer', 'kx_author')
await knex('kx_book').truncate()
await knex.schema.dropSchema('kx', true)
same('migrate rollback all', (await knex.migrate.rollback(undefined, true))[1], ['two', 'one'])
await knex.schema.dropTable('kx_migrations').dropTable('kx_migrations_lock')
await knex.destroy()
