// Builds dist/: the generated wire code, raft-ts, then the rooms. Plain JavaScript, because it runs before anything is built.
import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { buildSync, transformSync } from 'esbuild'

const root = resolve(import.meta.dirname, '..')
const bin = name => join(root, 'node_modules', '.bin', name)
const run = (name, ...args) => execFileSync(bin(name), args, { cwd: root, stdio: 'inherit' })

run('tsx', 'proto/generate.ts')
rmSync(join(root, 'dist'), { recursive: true, force: true })
run('tsc', '-p', 'packages/raft-ts/tsconfig.json')
run('tsc', '-p', 'tsconfig.build.json')

// tsc does not copy JavaScript. Minified, because the generated file's comments would be kept in memory by every daemon.
const generated = join(root, 'proto', 'gen', 'messages.js')
const target = join(root, 'dist', 'proto', 'gen')
mkdirSync(target, { recursive: true })
const { code } = transformSync(readFileSync(generated, 'utf8'), { minify: true, format: 'esm' })
writeFileSync(join(target, 'messages.js'), code)

// The command line is a process a call: one file a purpose, not some three hundred, is read in half the time. What is
// imported late stays apart, so that `skein version` loads no gRPC.
rmSync(join(root, 'dist', 'cli'), { recursive: true })
buildSync({
  entryPoints: [join(root, 'cli', 'main.ts')],
  outdir: join(root, 'dist', 'cli'),
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20',
  minifyWhitespace: true,
  minifySyntax: true,
  legalComments: 'linked',
  conditions: ['development'],
  // CommonJS packages ask for Node's own modules with require().
  banner: {
    js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url)",
  },
  logLevel: 'warning',
})

cpSync(join(root, 'package.json'), join(root, 'dist', 'package.json'))
