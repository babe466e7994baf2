#!/usr/bin/env node
// Prisma's schema engine for its command line, which would download one: that of npm, in WebAssembly, over the driver adapter. JSON-RPC, one message a line.
import {readFileSync, realpathSync} from 'node:fs'
import {createRequire} from 'node:module'
import {createInterface} from 'node:readline'
import {PrismaPg} from '@prisma/adapter-pg'
import {ColumnTypeEnum, bindMigrationAwareSqlAdapterFactory} from '@prisma/driver-adapter-utils'
import * as glue from '@prisma/schema-engine-wasm/schema_engine_bg'

globalThis.PRISMA_WASM_PANIC_REGISTRY = {set_message: text => console.error(text)}
const folder = createRequire(import.meta.url).resolve('@prisma/schema-engine-wasm').replace(/[^/]*$/, '')
const {instance} = await WebAssembly.instantiate(readFileSync(`${folder}schema_engine_bg.wasm`), {'./schema_engine_bg.js': glue})
glue.__wbg_set_wasm(instance.exports)
instance.exports.__wbindgen_start()

const given = name => process.argv.flatMap((word, n) => word === `--${name}` ? [process.argv[n + 1]] : [])
const {url} = JSON.parse(given('datasource')[0] ?? '{}')
if (process.argv.includes('can-connect-to-database')) process.exit(0)
// The adapter knows no "char", a type of the catalogue's columns.
const adapter = new PrismaPg({connectionString: url ?? 'postgres://', max: 1})
const connect = adapter.connect.bind(adapter)
adapter.connect = async () => {
  const connection = await connect()
  const [ask, read, chars] = [connection.performIO.bind(connection), connection.queryRaw.bind(connection), new WeakMap()]
  connection.performIO = async query => {
    const result = await ask(query)
    if (result.fields) chars.set(result.rows, result.fields.map(field => field.dataTypeID === 18 && (field.dataTypeID = 25)))
    return result
  }
  connection.queryRaw = async query => {
    const result = await read(query)
    return {...result, columnTypes: result.columnTypes.map((type, n) => chars.get(result.rows)[n] ? ColumnTypeEnum.Character : type)}
  }
  return connection
}
const factory = bindMigrationAwareSqlAdapterFactory(adapter)
const datamodels = given('datamodels').map(path => [path, readFileSync(realpathSync(path), 'utf8')])
const engine = await glue.SchemaEngine.new({datamodels: datamodels.length ? datamodels : undefined}, () => {}, factory)
for await (const line of createInterface({input: process.stdin})) {
  const {id, method, params} = JSON.parse(line)
  if (!method) continue
  const answer = await engine[method](params).then(result => ({result: result ?? {}}), error => ({error: {code: 4466, message: 'An error happened. Check the data field for details.', data: {is_panic: false, message: error.message, error_code: error.code}}}))
  if (answer.result?.stdout) process.stdout.write(JSON.stringify({jsonrpc: '2.0', id: 0, method: 'print', params: {content: answer.result.stdout}}) + '\n')
  process.stdout.write(JSON.stringify({jsonrpc: '2.0', id, ...answer}) + '\n')
}
process.exit(0)
