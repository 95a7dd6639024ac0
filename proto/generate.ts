// Makes proto/gen/messages.{js,d.ts} from the .proto files with protobufjs-cli, when a hash of the sources says so.
// The output is never committed: at this size it would drown every review.
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { createRequire } from 'node:module'

const here = import.meta.dirname
const out = join(here, 'gen', 'messages.js')
const stamp = join(here, 'gen', '.sources')

const sources = readdirSync(here)
  .filter(name => name.endsWith('.proto'))
  .sort()
const hash = createHash('sha256')
for (const name of sources) hash.update(name).update(readFileSync(join(here, name)))
const digest = hash.digest('hex')

if (!existsSync(out) || !existsSync(stamp) || readFileSync(stamp, 'utf8') !== digest) {
  mkdirSync(dirname(out), { recursive: true })
  const pbjs = createRequire(import.meta.url)('protobufjs-cli/pbjs') as {
    main(args: string[], done: (error: Error | null) => void): void
  }
  const flags =
    '-t static-module -w esm -d --null-semantics --no-verify --no-delimited --no-typeurl'
  await new Promise<void>((resolve, reject) => {
    pbjs.main(
      [...flags.split(' '), '-p', here, '-o', out, ...sources.map(name => join(here, name))],
      error => (error ? reject(error) : resolve()),
    )
  })
  writeFileSync(stamp, digest)
}
