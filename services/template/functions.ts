import { sprintf } from './printf.ts'
import { type TemplateFunction, entriesOf, format, isTrue, lookUp, typeName } from './value.ts'

// Go's built-in functions and the ones Docker adds to every --format. `and` and `or` do not evaluate what they need
// not, so the evaluator has them; they are here by name and for the end of a pipeline.

const HTML: Readonly<Record<string, string>> = {
  '\0': '\uFFFD',
  '"': '&#34;',
  "'": '&#39;',
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
}
const JS: Readonly<Record<string, string>> = {
  '\\': '\\\\',
  "'": "\\'",
  '"': '\\"',
  '<': '\\u003C',
  '>': '\\u003E',
  '&': '\\u0026',
  '=': '\\u003D',
}

const GO: Readonly<Record<string, TemplateFunction>> = {
  and: (...args) => args.find(arg => !isTrue(arg)) ?? args.at(-1),
  or: (...args) => args.find(isTrue) ?? args.at(-1),
  not: arg => !isTrue(arg),
  len: length,
  index: (item, ...keys) => keys.reduce(indexOnce, item),
  slice,
  eq: (first, ...rest) => {
    if (rest.length === 0) throw new Error('missing argument for comparison')
    return rest.some(other => equal(first, other))
  },
  ne: (a, b) => !equal(a, b),
  lt: (a, b) => compare(a, b) < 0,
  le: (a, b) => compare(a, b) <= 0,
  gt: (a, b) => compare(a, b) > 0,
  ge: (a, b) => compare(a, b) >= 0,
  print: (...args) => print(args),
  println: (...args) => `${args.map(format).join(' ')}\n`,
  printf: (pattern, ...args) => sprintf(text('printf', pattern), args),
  html: (...args) => print(args).replace(/[\0"'&<>]/g, char => HTML[char] ?? char),
  js: (...args) =>
    print(args).replace(/[\\'"<>&=\p{Cc}]/gu, char => {
      const code = char.charCodeAt(0).toString(16).toUpperCase().padStart(4, '0')
      return JS[char] ?? `\\u${code}`
    }),
  urlquery: (...args) =>
    encodeURIComponent(print(args))
      .replace(/[!'()*]/g, char => `%${char.charCodeAt(0).toString(16).toUpperCase()}`)
      .replaceAll('%20', '+'),
  call: (callee, ...args) => {
    if (typeof callee !== 'function') throw new Error(`non-function of type ${typeName(callee)}`)
    return (callee as TemplateFunction)(...args)
  },
}

const DOCKER: Readonly<Record<string, TemplateFunction>> = {
  json: value => JSON.stringify(value ?? null),
  split: (value, separator) => text('split', value).split(text('split', separator)),
  join,
  title: value =>
    text('title', value).replace(/(^|[^\p{L}\p{N}_'])(\p{L})/gu, (_, a, b) => a + b.toUpperCase()),
  lower: value => text('lower', value).toLowerCase(),
  upper: value => text('upper', value).toUpperCase(),
  pad: (value, before, after) =>
    value === ''
      ? ''
      : ' '.repeat(count('pad', before)) + text('pad', value) + ' '.repeat(count('pad', after)),
  truncate: (value, length) =>
    Array.from(text('truncate', value)).slice(0, count('truncate', length)).join(''),
}

export const BUILTINS: Readonly<Record<string, TemplateFunction>> = { ...GO, ...DOCKER }
export const BUILTIN_NAMES: readonly string[] = Object.keys(BUILTINS)

/** Docker's `join LIST SEPARATOR` and Swarm's `join SEPARATOR TEXT…`, told apart by the first argument. */
function join(...args: readonly unknown[]): string {
  const [first, ...rest] = args
  if (Array.isArray(first)) return first.map(format).join(text('join', rest[0]))
  return rest.map(format).join(text('join', first))
}

/** Go's Sprint: spaces between operands when neither is a string. */
function print(args: readonly unknown[]): string {
  let out = ''
  for (const [i, arg] of args.entries()) {
    if (i > 0 && typeof arg !== 'string' && typeof args[i - 1] !== 'string') out += ' '
    out += format(arg)
  }
  return out
}

function text(name: string, value: unknown): string {
  if (typeof value === 'string') return value
  throw new Error(`wrong type for value; expected string; got ${typeName(value)} in ${name}`)
}

function count(name: string, value: unknown): number {
  if (typeof value === 'number' && Number.isInteger(value)) {
    if (value >= 0 && value <= 10_000) return value
    throw new Error(`${value} is not between 0 and 10000 in ${name}`)
  }
  throw new Error(`wrong type for value; expected int; got ${typeName(value)} in ${name}`)
}

function length(value: unknown): number {
  if (value === null || value === undefined) throw new Error('len of nil pointer')
  if (typeof value === 'string') return new TextEncoder().encode(value).length
  if (Array.isArray(value) || value instanceof Uint8Array) return value.length
  const entries = entriesOf(value)
  if (entries === undefined) throw new Error(`len of type ${typeName(value)}`)
  return entries.length
}

/** A key that a map of texts does not have gives the empty text, as map[string]string does: labels, options. */
function indexOnce(item: unknown, key: unknown): unknown {
  if (item === null || item === undefined) throw new Error('index of untyped nil')
  if (Array.isArray(item) || typeof item === 'string' || item instanceof Uint8Array) {
    if (typeof key !== 'number')
      throw new Error(`cannot index slice/array with type ${typeName(key)}`)
    const list = typeof item === 'string' ? new TextEncoder().encode(item) : item
    if (!Number.isInteger(key) || key < 0 || key >= list.length)
      throw new Error(`index out of range: ${format(key)}`)
    return list[key]
  }
  const entries = entriesOf(item)
  if (entries === undefined) throw new Error(`can't index item of type ${typeName(item)}`)
  const { found, value } = lookUp(item, typeof key === 'string' ? key : format(key))
  return found || entries.some(([, other]) => typeof other !== 'string') ? value : ''
}

function slice(item: unknown, ...bounds: readonly unknown[]): unknown {
  if (typeof item !== 'string' && !Array.isArray(item))
    throw new Error(
      item === null || item === undefined
        ? 'slice of untyped nil'
        : `can't slice item of type ${typeName(item)}`,
    )
  const [from = 0, to = item.length] = bounds
  for (const bound of [from, to])
    if (typeof bound !== 'number' || bound < 0 || bound > item.length)
      throw new Error(`index out of range: ${format(bound)}`)
  if ((from as number) > (to as number))
    throw new Error(`invalid slice index: ${format(from)} > ${format(to)}`)
  return item.slice(from as number, to as number)
}

function equal(a: unknown, b: unknown): boolean {
  const [x, y] = [a ?? null, b ?? null]
  if (x === null || y === null) return x === y
  if (typeof x === 'object' || typeof y === 'object') throw new Error('non-comparable type')
  if (typeof x !== typeof y) throw new Error('incompatible types for comparison')
  return x === y
}

function compare(a: unknown, b: unknown): number {
  if (typeof a !== 'string' && typeof a !== 'number') throw new Error('invalid type for comparison')
  if (typeof a !== typeof b) throw new Error('incompatible types for comparison')
  return a < (b as typeof a) ? -1 : a > (b as typeof a) ? 1 : 0
}
