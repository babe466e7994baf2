// What the programs of this folder share: comparisons whose messages name the statement.
import {inspect, isDeepStrictEqual} from 'node:util'

const show = value => inspect(value, {depth: 9, breakLength: 150})

export function same(statement, got, wanted) {
  if (!isDeepStrictEqual(got, wanted)) throw new Error(`${statement}: wanted ${show(wanted)}, got ${show(got)}`)
}

/// The promise fails, and these fields of its error have these values. The error is returned.
export async function fails(statement, promise, wanted) {
  const error = await promise.then(value => { throw new Error(`${statement}: wanted an error, got ${show(value)}`) }, error => error)
  const got = Object.fromEntries(Object.keys(wanted).map(key => [key, error[key]]))
  if (!isDeepStrictEqual(got, wanted)) throw new Error(`${statement}: wanted ${show(wanted)}, got ${show(got)}`, {cause: error})
  return error
}

/// Checks of what a server is known not to do: ALL=1 runs them, too.
export const ALL = process.env.ALL === '1'
