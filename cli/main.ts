#!/usr/bin/env node
// The `skein` command. Nothing but the wiring of the process: cli/run.ts is the program.
import { readFileSync } from 'node:fs'
import { buffer } from 'node:stream/consumers'
import { systemClock } from '../runtime/clock.ts'
import { StatusError } from '../runtime/errors.ts'
import { systemRandom } from '../runtime/random.ts'
import type { Sink } from './context.ts'
import { Exit, Failure } from './failure.ts'
import { run } from './run.ts'

const DEFAULT_COLUMNS = 80

function sink(stream: NodeJS.WriteStream): Sink {
  return {
    write: text => {
      stream.write(text)
    },
    get isTty() {
      return stream.isTTY === true
    },
    get columns() {
      return stream.columns ?? DEFAULT_COLUMNS
    },
  }
}

function readNow(path: string): Uint8Array {
  try {
    return readFileSync(path)
  } catch (error) {
    throw new Failure(`cannot read ${path}: ${(error as Error).message}`, { cause: error })
  }
}

async function ask(question: string): Promise<string | undefined> {
  if (!process.stdin.isTTY) return undefined
  const { createInterface } = await import('node:readline/promises')
  const terminal = createInterface({ input: process.stdin, output: process.stderr })
  try {
    return await terminal.question(question, { signal: interrupt.signal })
  } finally {
    terminal.close()
  }
}

function ownVersion(): string {
  const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8')
  return (JSON.parse(text) as { version: string }).version
}

const interrupt = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    if (interrupt.signal.aborted) process.exit(Exit.INTERRUPTED)
    interrupt.abort(new StatusError('Cancelled', 'interrupted'))
  })
}
// A reader that has seen enough (head, less) is no error.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(Exit.DONE)
    throw error
  })
}

process.exitCode = await run(process.argv.slice(2), {
  stdout: sink(process.stdout),
  stderr: sink(process.stderr),
  env: process.env,
  clock: systemClock,
  random: systemRandom,
  interrupt: interrupt.signal,
  version: ownVersion(),
  readFile: async path => (path === '-' ? buffer(process.stdin) : readNow(path)),
  readFileSync: readNow,
  writePrivateFile: async (path, chunks) => {
    const { writePrivateFile } = await import('./private-file.ts')
    await writePrivateFile(path, chunks)
  },
  ask,
  connect: async host => {
    const { connect } = await import('./connection.ts')
    return connect(host, { clock: systemClock, random: systemRandom, interrupt: interrupt.signal })
  },
})
