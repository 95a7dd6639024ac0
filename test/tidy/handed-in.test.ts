// Goal: time, chance, disk and timers reach the rooms only as arguments, so that a whole cluster runs under virtual time.
// Method: search the sources of every room but runtime, daemon and cli for the calls that would bypass them.
import t from 'tap'
import { readFileSync, readdirSync } from 'node:fs'
import { join, relative, resolve } from 'node:path'

const root = resolve(import.meta.dirname, '../..')
const ROOMS = ['packages/raft-ts/src', 'proto', 'services', 'agent', 'manager']
const BANNED =
  /\b(Date\.now|new Date\(\)|Math\.random|setTimeout|setInterval|setImmediate|performance\.now)\b|'node:(fs|fs\/promises|timers|timers\/promises)'/

/** The edges: each of these files exists to hand the effect in, or runs only at build time. */
const EDGES = new Set(['packages/raft-ts/src/node-fs.ts', 'proto/generate.ts'])

for (const room of ROOMS) {
  t.test(`${room} takes time and chance from its arguments`, async t => {
    const found: string[] = []
    const files = readdirSync(join(root, room), { recursive: true, encoding: 'utf8' }).filter(
      file => file.endsWith('.ts') && !/(^|\/)(gen|dist|node_modules)\//.test(file),
    )
    for (const file of files) {
      const name = relative(root, join(root, room, file))
      if (EDGES.has(name)) continue
      const lines = readFileSync(join(root, room, file), 'utf8').split('\n')
      for (const [index, line] of lines.entries()) {
        const code = line.replace(/\/\/.*$|^\s*\*.*$|\/\*.*\*\//, '')
        if (BANNED.test(code)) found.push(`${name}:${index + 1}: ${line.trim()}`)
      }
    }
    t.ok(files.length > 0)
    t.same(found, [])
  })
}
