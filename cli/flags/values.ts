import { messageOf } from '../../runtime/errors.ts'
import { shellWords } from '../../services/compose/shell-words.ts'
import { parseDurationMs } from '../../services/resource/parse.ts'
import { usage } from '../failure.ts'

// Readers for the values of flags. All throw a usage Failure that names the flag.

/** Runs a reader of `services/`, whose errors do not know which flag the text came from. */
export function read<T>(flag: string, text: string, reader: (text: string) => T): T {
  try {
    return reader(text)
  } catch (error) {
    throw usage(`${flag}: ${messageOf(error)}`)
  }
}

export function wholeNumber(flag: string, text: string, least = 0): number {
  const value = Number(text)
  if (!/^-?\d+$/.test(text) || !Number.isSafeInteger(value) || value < least) {
    throw usage(`${flag}: "${text}" is no whole number of ${least} or more`)
  }
  return value
}

/** A flag's duration in milliseconds; undefined when the flag was not given. */
export function durationMs(flag: string, text: string): number
export function durationMs(flag: string, text: string | undefined): number | undefined
export function durationMs(flag: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const ms = read(flag, text, parseDurationMs)
  if (ms < 0) throw usage(`${flag}: "${text}" is negative`)
  return ms
}

export function ratio(flag: string, text: string): number {
  const value = Number(text)
  if (text.trim() === '' || !(value >= 0 && value <= 1)) {
    throw usage(`${flag}: "${text}" is no number between 0 and 1`)
  }
  return value
}

/** The position of `text` in `choices`, in any case: the wire's enums count in the order users are told. */
export function choice<const T extends readonly string[]>(
  flag: string,
  text: string,
  choices: T,
): number {
  const index = choices.indexOf(text.toLowerCase())
  if (index < 0) throw usage(`${flag}: "${text}" is none of ${choices.join(', ')}`)
  return index
}

/** `k=v` pairs; a bare `k` has the empty value, as docker's labels do. */
export function pairs(flag: string, texts: readonly string[] = []): Record<string, string> {
  const found: Record<string, string> = {}
  for (const text of texts) {
    const [key = '', ...rest] = text.split('=')
    if (key.trim() === '') throw usage(`${flag}: "${text}" has no key`)
    found[key] = rest.join('=')
  }
  return found
}

/**
 * Environment entries in docker's way: files first, then flags, the last one of a name wins; a bare name takes the
 * caller's value and stays bare when there is none (swarm row SF-09).
 */
export function envEntries(
  flags: readonly string[],
  files: readonly { readonly name: string; readonly text: string }[],
  callers: Readonly<Record<string, string | undefined>>,
): string[] {
  const entries = new Map<string, string>()
  const add = (entry: string): void => {
    const name = entry.split('=')[0] ?? ''
    if (name === '') throw usage(`--env: "${entry}" has no name`)
    const bare = !entry.includes('=')
    const value = bare ? callers[name] : undefined
    entries.delete(name)
    entries.set(name, bare && value !== undefined ? `${name}=${value}` : entry)
  }
  for (const file of files) {
    for (const [index, line] of file.text.split(/\r?\n/).entries()) {
      const text = line.trimStart()
      if (text === '' || text.startsWith('#')) continue
      const name = text.split('=')[0] ?? ''
      if (name === '' || /\s/.test(name)) {
        throw usage(`${file.name}:${index + 1}: "${name}" is no name of a variable`)
      }
      add(text)
    }
  }
  for (const flag of flags) add(flag)
  return [...entries.values()]
}

/** One line of comma-separated values with RFC 4180 quotes, as docker reads its long flags. */
export function csv(flag: string, text: string): readonly string[] {
  const fields: string[] = []
  let rest = text
  for (;;) {
    const match = /^(?:"((?:[^"]|"")*)"|([^",]*))(,|$)/.exec(rest)
    if (match === null) throw usage(`${flag}: "${text}" has a quote in the wrong place`)
    fields.push(match[1]?.replaceAll('""', '"') ?? match[2] ?? '')
    rest = rest.slice(match[0].length)
    if (match[3] === '') return fields
  }
}

/** The fields of a long flag, `type=bind,readonly,src=/x`: keys in lower case, a bare key has no value. */
export function csvFields(
  flag: string,
  text: string,
): readonly { readonly key: string; readonly value: string | undefined }[] {
  return csv(flag, text).map(field => {
    const split = field.indexOf('=')
    return split < 0
      ? { key: field.trim().toLowerCase(), value: undefined }
      : { key: field.slice(0, split).trim().toLowerCase(), value: field.slice(split + 1) }
  })
}

/** `true`, `1`, absent … in Go's strconv.ParseBool; a bare key means true. */
export function truth(flag: string, key: string, value: string | undefined): boolean {
  if (value === undefined || /^(1|t|true)$/i.test(value)) return true
  if (/^(0|f|false)$/i.test(value)) return false
  throw usage(`${flag}: ${key}=${value} is neither true nor false`)
}

/** Splits a command line as a shell would; nothing is expanded. */
export function words(flag: string, text: string): string[] {
  return [...read(flag, text, shellWords)]
}
