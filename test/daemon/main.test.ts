// Goal: `skein daemon` says how it is used, and what is wrong with a command line, once and with exit code 125.
// Method: the real process for help and for one mistake; the same command in this process for the other mistakes.
import t from 'tap'
import { execFile } from 'node:child_process'
import { resolve } from 'node:path'
import { promisify } from 'node:util'
import { CommanderError } from 'commander'
import { daemonCommand, resolveConfig } from '../../daemon/config.ts'

const root = resolve(import.meta.dirname, '../..')

interface Outcome {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

function daemon(...args: string[]): Promise<Outcome> {
  const argv = ['--import=tsx', '--conditions=development', 'daemon/main.ts', ...args]
  return promisify(execFile)(process.execPath, argv, { cwd: root, timeout: 60_000 }).then(
    said => ({ code: 0, ...said }),
    (error: Outcome) => error,
  )
}

t.test('help is asked for: standard output, 0', async t => {
  const { code, stdout, stderr } = await daemon('--help')
  t.equal(code, 0)
  t.equal(stderr, '')
  for (const text of ['Usage: skein daemon', '--data-dir', '--listen', '/var/lib/skein'])
    t.ok(stdout.includes(text), text)
})

t.test('a mistake: standard error, 125', async t => {
  t.match(await daemon('--data-dri', '/x'), {
    code: 125,
    stdout: '',
    stderr: /^error: unknown option '--data-dri'\n(.*\n)?\n?See: skein daemon --help\n$/,
  })
})

t.test('every mistake is named once, with the way to help', async t => {
  const mistakes: [string[], string][] = [
    [['--listen', 'here'], '"here" is not an address of the form host:port'],
    [['--metrics-listen', '1.2.3.4:99999'], 'is not an address of the form host:port'],
    [['--log-level', 'loud'], 'Allowed choices are debug, info, warn, error'],
    [['--election-timeout-ms', '-5'], 'expected a positive number'],
    [['--data-dir'], 'argument missing'],
    [['now'], 'too many arguments'],
  ]
  for (const [args, said] of mistakes) {
    let told = ''
    const command = daemonCommand()
      .exitOverride()
      .configureOutput({ writeErr: text => (told += text) })
    t.throws(() => command.parse(args, { from: 'user' }), CommanderError, args.join(' '))
    t.ok(told.includes(said), told)
    t.equal(told.match(/error:/gi)?.length, 1)
    t.match(told, /See: skein daemon --help\n$/)
  }
})

t.test(
  'flags become the configuration; a flag with an empty value is named as it is written',
  async t => {
    const flagsOf = (...args: string[]): Record<string, unknown> =>
      daemonCommand().exitOverride().parse(args, { from: 'user' }).opts()
    t.match(resolveConfig(flagsOf('--data-dir', '/d', '--snapshot-entries', '50'), {}, undefined), {
      dataDir: '/d',
      snapshotEntries: 50,
      listen: '0.0.0.0:2377',
    })
    t.throws(() => resolveConfig(flagsOf('--data-dir', ''), {}, undefined), {
      code: 'InvalidArgument',
      message: '--data-dir: expected text, got ""',
    })
  },
)
