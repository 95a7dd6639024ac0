// The simulation as one file of plain JavaScript: starts in a moment, and can be given a planted mistake on the way.
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { build, type Plugin } from 'esbuild'
import type { Outcome } from './share.ts'

/** A change of one file's text, which must be found there exactly once. */
export interface Edit {
  /** Below `packages/raft-ts/src`. */
  readonly file: string
  readonly from: string
  readonly to: string
}

const share = fileURLToPath(new URL('./share.ts', import.meta.url))
const source = fileURLToPath(new URL('../../src/', import.meta.url))

/** @throws Error when an edit does not match exactly once, naming it, or when what comes out is no program */
export async function bundle(outfile: string, edits: readonly Edit[] = []): Promise<void> {
  await build({
    entryPoints: [share],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    conditions: ['development'],
    logLevel: 'silent',
    plugins: [planter(edits)],
  })
}

export function planter(edits: readonly Edit[]): Plugin {
  const files = new Map<string, string>()
  return {
    name: 'planter',
    setup(builder) {
      builder.onStart(async () => {
        for (const { file, from, to } of edits) {
          const text = files.get(file) ?? (await readFile(source + file, 'utf8'))
          const pieces = text.split(from)
          if (pieces.length !== 2)
            throw new Error(`${file} has ${pieces.length - 1} places that read: ${from}`)
          files.set(file, pieces.join(to))
        }
      })
      builder.onLoad({ filter: /\.ts$/ }, ({ path }) => {
        if (!path.startsWith(source)) return undefined
        const contents = files.get(path.slice(source.length))
        return contents === undefined ? undefined : { contents, loader: 'ts' }
      })
    },
  }
}

/** Runs every `step`-th seed in a process of its own. Without tap's loader, which comes with NODE_OPTIONS. */
export async function runBundle(
  outfile: string,
  seeds: { first: number; step: number; end: number },
  shrink = false,
): Promise<Outcome> {
  const args = [outfile, seeds.first, seeds.step, seeds.end, shrink ? 'shrink' : 'plain']
  const env = { ...process.env, NODE_OPTIONS: '' }
  const running = promisify(execFile)(process.execPath, args.map(String), { env })
  running.child.stderr?.pipe(process.stderr)
  const { stdout } = await running
  return JSON.parse(stdout) as Outcome
}
