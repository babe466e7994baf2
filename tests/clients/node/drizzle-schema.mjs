// The tables of drizzle.mjs.
import {lt, relations, sql} from 'drizzle-orm'
import * as pc from 'drizzle-orm/pg-core'

export const mood = pc.pgEnum('dz_mood', ['sad', 'ok'])
export const author = pc.pgTable('dz_author', {
  id: pc.serial().primaryKey(), name: pc.varchar({length: 40}).notNull().unique(), mood: mood().default('ok'), info: pc.jsonb(), tags: pc.text().array(),
  made: pc.timestamp({withTimezone: true}).notNull().defaultNow(), boss: pc.integer().references(() => author.id),
})
export const book = pc.pgTable('dz_book', {
  id: pc.integer().primaryKey().generatedAlwaysAsIdentity(), authorId: pc.integer('author_id').notNull().references(() => author.id, {onDelete: 'cascade'}), title: pc.text().notNull(),
  price: pc.numeric({precision: 8, scale: 2}), sold: pc.boolean().notNull().default(false), cents: pc.integer().generatedAlwaysAs(sql`(price * 100)::integer`),
}, t => [pc.uniqueIndex('dz_book_title').on(t.authorId, t.title), pc.index('dz_book_price').on(t.price.desc()), pc.check('dz_book_positive', sql`${t.price} > 0`)])
export const label = pc.pgTable('dz_label', {id: pc.uuid().primaryKey().defaultRandom(), text: pc.text().notNull()})
export const labelled = pc.pgTable('dz_labelled', {bookId: pc.integer('book_id').notNull().references(() => book.id), labelId: pc.uuid('label_id').notNull().references(() => label.id)},
  t => [pc.primaryKey({columns: [t.bookId, t.labelId]})])
export const types = pc.pgTable('dz_types', {
  i2: pc.smallint(), i4: pc.integer(), i8: pc.bigint({mode: 'bigint'}), i8n: pc.bigint({mode: 'number'}), f4: pc.real(), f8: pc.doublePrecision(), n: pc.numeric(), ok: pc.boolean(), t: pc.text(),
  v: pc.varchar({length: 5}), c: pc.char({length: 3}), d: pc.date(), dd: pc.date({mode: 'date'}), ti: pc.time(), ts: pc.timestamp(), tz: pc.timestamp({withTimezone: true}), tss: pc.timestamp({mode: 'string'}),
  iv: pc.interval(), u: pc.uuid(), j: pc.json(), jb: pc.jsonb(), ia: pc.integer().array(), ta: pc.text().array(), m: mood().array(),
  b: pc.customType({dataType: () => 'bytea'})(),
})
export const view = pc.pgView('dz_cheap').as(qb => qb.select({title: book.title, price: book.price}).from(book).where(lt(book.price, '2')))
export const authorRelations = relations(author, ({one, many}) => ({books: many(book), boss: one(author, {fields: [author.boss], references: [author.id], relationName: 'boss'}), workers: many(author, {relationName: 'boss'})}))
export const bookRelations = relations(book, ({one, many}) => ({author: one(author, {fields: [book.authorId], references: [author.id]}), labelled: many(labelled)}))
export const labelledRelations = relations(labelled, ({one}) => ({book: one(book, {fields: [labelled.bookId], references: [book.id]}), label: one(label, {fields: [labelled.labelId], references: [label.id]})}))
