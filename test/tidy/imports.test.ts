// Goal: rooms import only in the one agreed direction. Method: read every import of every source file.
import t from 'tap'
import { readFileSync, readdirSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'

const root = resolve(import.meta.dirname, '../..')
const MAY_IMPORT: Record<string, readonly string[]> = {
  packages: [],
  runtime: [],
  proto: ['runtime'],
  services: ['proto', 'runtime'],
  agent: ['services', 'proto', 'runtime'],
  manager: ['services', 'proto', 'runtime', 'raft-ts'],
  daemon: ['agent', 'manager', 'services', 'proto', 'runtime', 'raft-ts'],
  cli: ['services', 'proto', 'runtime'],
}

export function sourcesOf(room: string): string[] {
  return readdirSync(join(root, room), { recursive: true, encoding: 'utf8' })
    .filter(file => file.endsWith('.ts') && !/(^|\/)(node_modules|gen|dist|test)\//.test(file))
    .map(file => join(root, room, file))
}

for (const [room, allowed] of Object.entries(MAY_IMPORT)) {
  t.test(`${room} imports only ${allowed.join(', ') || 'itself'}`, async t => {
    const files = sourcesOf(room)
    const forbidden: string[] = []
    for (const path of files) {
      for (const [, specifier = ''] of readFileSync(path, 'utf8').matchAll(
        /(?:from|import)\s*\(?\s*'([^']+)'/g,
      )) {
        const target = specifier.startsWith('.')
          ? (relative(root, resolve(dirname(path), specifier)).split('/')[0] ?? '')
          : specifier
        if (target === room || !(target in MAY_IMPORT || target === 'raft-ts')) continue
        if (!allowed.includes(target))
          forbidden.push(`${relative(root, path)} imports ${specifier}`)
      }
    }
    t.ok(files.length > 0, 'the room has sources')
    t.same(forbidden, [])
  })
}

t.test('raft-ts has a core without node:', async t => {
  const core = sourcesOf('packages/raft-ts/src/core')
  t.ok(core.length > 0)
  for (const path of core) t.notMatch(readFileSync(path, 'utf8'), /'node:/, relative(root, path))
})
