import type { MemoryFs } from '../../src/testing.ts'
import type { Entry } from '../../src/types.ts'
import type { WalWrite } from '../../src/wal/record.ts'
import { Wal, type WalOptions } from '../../src/wal/wal.ts'

export const entry = (index: number, term: number, text = `entry ${index}`): Entry => ({
  index,
  term,
  kind: 'normal',
  data: new TextEncoder().encode(text),
})

export const write = (term: number, commit: number, ...entries: Entry[]): WalWrite => ({
  hardState: { term, vote: 1, commit },
  restart: undefined,
  entries,
})

/** The log of member 7 in `wal/`, as one life of a process sees it. */
export async function open(fs: MemoryFs, options: Partial<WalOptions> = {}) {
  await fs.mkdir('wal')
  return Wal.open({
    fs: fs.mount(),
    dir: 'wal',
    id: 7,
    segmentBytes: 4096,
    monotonicMs: () => 0,
    ...options,
  })
}

/** Indexes and terms. */
export const shape = (list: readonly Entry[]): string =>
  list.map(e => `${e.index}/${e.term}`).join(' ')

/** What a log looked like before its segments had their full size from the start: two segments, ten entries. */
export const FORMAT_1: Record<string, string> = {
  'wal/0000000001.wal':
    'cmFmdHdhbDEIAQcAAAAAAAAaNRNmUkFGVBAAAAAty7npAQEAAAEBAQEHZW50cnkgMVJBRlQQAAAAbeZMKAEBAQABAgEBB2VudHJ5IDJSQUZUEAAAAKwcZiUBAQIAAQMBAQdlbnRyeSAzUkFGVBAAAAA5Gu/2AQEDAAEEAQEHZW50cnkgNFJBRlQQAAAAI/2j7QEBBAABBQEBB2VudHJ5IDVSQUZUEAAAAN9tmHgBAQUAAQYBAQdlbnRyeSA2UkFGVBAAAACoS2ebAQEGAAEHAQEHZW50cnkgNw==',
  'wal/0000000002.wal':
    'cmFmdHdhbDEMAgeol53bCQEBBgcBtiR72VJBRlQQAAAA5tJ+mwEBBwABCAEBB2VudHJ5IDhSQUZUEAAAAEVY09YBAQgAAQkBAQdlbnRyeSA5UkFGVBwAAABhr50yAgMIAAIJAgEHZW50cnkgOQoCAQhlbnRyeSAxMA==',
}
