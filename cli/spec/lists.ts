import { Failure } from '../failure.ts'

// How `--x-add` and `--x-rm` change what is there.

/** Entries but those named. @throws Failure when a name is not there: a typing error must not pass for success */
export function without<T>(
  flag: string,
  entries: readonly T[],
  names: readonly string[],
  nameOf: (entry: T) => string,
): T[] {
  for (const name of names) {
    if (!entries.some(entry => nameOf(entry) === name)) {
      const there = entries.map(nameOf)
      throw new Failure(`${flag}: ${name} is not there`, {
        why: there.length === 0 ? ['the list is empty'] : [`there is: ${there.join(', ')}`],
      })
    }
  }
  return entries.filter(entry => !names.includes(nameOf(entry)))
}

/** Entries of the same name are replaced in place, others added at the end. */
export function replaceBy<T>(
  entries: readonly T[],
  added: readonly T[],
  nameOf: (entry: T) => string,
): T[] {
  const result = [...entries]
  for (const entry of added) {
    const at = result.findIndex(other => nameOf(other) === nameOf(entry))
    if (at < 0) result.push(entry)
    else result[at] = entry
  }
  return result
}

/** Changes labels, sysctls and the like. Removing a key that is not there is no error, as with docker. */
export function applyMap(
  map: Record<string, string>,
  added: Readonly<Record<string, string>>,
  removed: readonly string[],
): void {
  for (const key of removed) delete map[key]
  Object.assign(map, added)
}
