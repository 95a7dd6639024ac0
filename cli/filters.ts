import { usage } from './failure.ts'

/** The values of `--filter key=value`, by key. */
export type Filters = ReadonlyMap<string, readonly string[]>

/** commander's collector for a flag that may be given several times. */
export function collect(value: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), value]
}

/**
 * Reads `--filter` flags.
 * @throws Failure (usage) for a filter without `=` and for a key this command does not have
 */
export function parseFilters(flags: readonly string[] = [], keys: readonly string[]): Filters {
  const filters = new Map<string, string[]>()
  for (const flag of flags) {
    const split = flag.indexOf('=')
    if (split < 0) throw usage(`invalid filter "${flag}": write key=value`)
    const key = flag.slice(0, split).trim().toLowerCase()
    if (!keys.includes(key)) {
      throw usage(`invalid filter "${key}"`, `filters here: ${keys.join(', ')}`)
    }
    const values = filters.get(key) ?? []
    values.push(flag.slice(split + 1).trim())
    filters.set(key, values)
  }
  return filters
}

/** Whether one of the wanted values is a prefix of the text, in any case. True when the key was not asked for. */
export function matchPrefix(filters: Filters, key: string, text: string): boolean {
  return anyOf(filters, key, wanted => text.toLowerCase().startsWith(wanted.toLowerCase()))
}

/** Whether one of the wanted values is contained in the text. True when the key was not asked for. */
export function matchPart(filters: Filters, key: string, text: string): boolean {
  return anyOf(filters, key, wanted => text.includes(wanted))
}

/** Whether one of the wanted values is the text, in any case. True when the key was not asked for. */
export function matchExact(filters: Filters, key: string, text: string): boolean {
  return anyOf(filters, key, wanted => text.toLowerCase() === wanted.toLowerCase())
}

/** Whether all wanted labels are there: `k` any value, `k=v` that value, `k=` any value as Docker has it. */
export function matchLabels(
  filters: Filters,
  key: string,
  labels: Readonly<Record<string, string>> | undefined,
): boolean {
  return (filters.get(key) ?? []).every(wanted => {
    const [name = '', ...rest] = wanted.split('=')
    const value = rest.join('=')
    if (labels === undefined || !Object.hasOwn(labels, name)) return false
    return value === '' || labels[name] === value
  })
}

function anyOf(filters: Filters, key: string, matches: (wanted: string) => boolean): boolean {
  const wanted = filters.get(key)
  return wanted === undefined || wanted.some(matches)
}
