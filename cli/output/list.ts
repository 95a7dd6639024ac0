import { execute } from '../../services/template/evaluate.ts'
import { parseTemplate } from '../../services/template/parser.ts'
import { table } from './table.ts'

/** A field of a listing, as `--format` names it. */
export interface Field<T> {
  /** Name in templates and JSON, e.g. `ManagerStatus`. */
  readonly name: string
  /** Header in tables, e.g. `MANAGER STATUS`. */
  readonly header: string
  readonly value: (row: T) => string | boolean
  /** What the plain table shows, where it differs from what templates see. */
  readonly inTable?: (row: T) => string
  /** Left out of the table unless asked for by a template. */
  readonly hidden?: boolean
}

export interface ListOptions {
  /** A Go template, `table TEMPLATE`, `json` or `table`. Default: `table`. */
  readonly format?: string | undefined
  /** Print only the first field, one a line. */
  readonly quiet?: boolean | undefined
}

/**
 * A listing in docker's four forms: table, `table TEMPLATE`, TEMPLATE (a line a row) and `json` (an object a line, all
 * values text but booleans).
 * @throws StatusError InvalidArgument in Go's words for a bad template or an unknown field
 */
export function renderList<T>(
  rows: readonly T[],
  fields: readonly Field<T>[],
  options: ListOptions = {},
): string {
  const [first] = fields
  if (options.quiet === true && options.format === undefined) {
    return rows.map(row => `${first?.value(row) ?? ''}\n`).join('')
  }
  const format = unescape(options.format ?? 'table')
  if (format === 'json') {
    return rows.map(row => `${JSON.stringify(record(row, fields))}\n`).join('')
  }
  if (format === 'table') return plainTable(rows, fields)
  if (!/^table\s/.test(format)) {
    const template = parseTemplate(format)
    return rows.map(row => `${execute(template, record(row, fields), STRICT)}\n`).join('')
  }
  const template = parseTemplate(format.replace(/^table\s+/, ''))
  const headers = Object.fromEntries(fields.map(field => [field.name, field.header]))
  const lines = [
    execute(template, { ...headers, Label: (key: unknown) => String(key) }, STRICT),
    ...rows.map(row => execute(template, record(row, fields), STRICT)),
  ]
  return table(lines.map(line => line.split('\t')))
}

/** A field a listing does not have is an error, as it is with docker. */
const STRICT = { missingKey: 'error' } as const

function plainTable<T>(rows: readonly T[], fields: readonly Field<T>[]): string {
  const shown = fields.filter(field => field.hidden !== true)
  return table([
    shown.map(field => field.header),
    ...rows.map(row => shown.map(field => field.inTable?.(row) ?? String(field.value(row)))),
  ])
}

function record<T>(row: T, fields: readonly Field<T>[]): Record<string, string | boolean> {
  return Object.fromEntries(fields.map(field => [field.name, field.value(row)]))
}

/** A shell passes `\t` and `\n` on as two characters; docker reads them as one. */
function unescape(format: string): string {
  return format.replace(/\\t/g, '\t').replace(/\\n/g, '\n')
}
