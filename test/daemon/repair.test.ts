// Goal: one process at a time works on a data directory; `skein manager repair` salvages a damaged log there, after saying
// what is lost, and only when told to. Method: the real programs on a directory with a sealed log that is then damaged.
import t from 'tap'
import { execFile } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { nodeFs, RaftNode } from 'raft-ts'
import { lockDataDir } from '../../daemon/data-lock.ts'
import { memberState } from '../../daemon/member-state.ts'
import { repairManager } from '../../daemon/repair-log.ts'
import { aesSealer } from '../../manager/state/raft/sealer.ts'
import { systemClock } from '../../runtime/clock.ts'
import { messageOf } from '../../runtime/errors.ts'
import { systemFs } from '../../runtime/fs.ts'
import { systemRandom } from '../../runtime/random.ts'

const root = resolve(import.meta.dirname, '../..')
const program = (name: string, ...args: string[]) =>
  promisify(execFile)(
    process.execPath,
    ['--import=tsx', '--conditions=development', `daemon/${name}.ts`, ...args],
    { cwd: root, timeout: 60_000 },
  ).then(
    said => ({ code: 0, ...said }),
    (error: { code: number; stdout: string; stderr: string }) => error,
  )

/** A manager's directory with ten entries of its log, the last of them acknowledged. */
async function aManager(dataDir: string): Promise<{ segment: string }> {
  const member = await memberState(systemFs, dataDir, systemRandom)
  const dir = join(dataDir, 'manager/raft')
  const node = await RaftNode.open(
    {
      id: member.raftId,
      dir,
      fs: nodeFs,
      clock: systemClock,
      random: () => systemRandom.next(),
      encrypt: aesSealer(member.dataKey, systemRandom, member.formerKeys),
      segmentBytes: 65_536,
      stateMachine: {
        apply: entries => entries,
        snapshot: () => new Uint8Array(),
        restore: () => undefined,
      },
      send: () => undefined,
      onFatal: error => {
        throw error
      },
    },
    { bootstrap: [{ id: member.raftId, address: 'here:1', learner: false }] },
  )
  // Alone it leads at once; a read waits for that.
  await node.readIndex()
  for (let i = 0; i < 8; i++) await node.propose(Buffer.from(`secret text ${i}`))
  await node.stop()
  return { segment: join(dir, 'wal/0000000001.wal') }
}

t.test('a second daemon is told who is there first', async t => {
  const dir = t.testdir()
  const unlock = await lockDataDir(dir, 'a test')
  const refused = new RegExp(
    `${dir} is in use by process ${process.pid} \\(a test\\): stop it first`,
  )
  await t.rejects(lockDataDir(dir, 'another'), { code: 'FailedPrecondition', message: refused })
  const programs = ['main', 'repair'].map(name => program(name, '--data-dir', dir))
  for (const said of await Promise.all(programs)) t.match(said, { code: 1, stderr: refused })
  unlock()
  const again = await lockDataDir(dir, 'another')
  t.equal(readFileSync(join(dir, 'lock'), 'utf8'), `${process.pid} another\n`)
  again()
})

t.test('the lock ends with the process that has it, however it ends', async t => {
  const dir = t.testdir()
  const script = `
    const { lockDataDir } = await import('./daemon/data-lock.ts')
    await lockDataDir(${JSON.stringify(dir)}, 'the victim')
    process.kill(process.pid, 'SIGKILL')`
  const args = ['--import=tsx', '--conditions=development', '--input-type=module', '-e', script]
  const killed = await promisify(execFile)(process.execPath, args, { cwd: root }).catch(
    (error: unknown) => error,
  )
  t.match(killed, { signal: 'SIGKILL' })
  t.match(readFileSync(join(dir, 'lock'), 'utf8'), /the victim/)
  const unlock = await lockDataDir(dir, 'the next')
  unlock()
})

/** What the repair says, with `answer` to its question. */
async function repair(dataDir: string, answer: boolean): Promise<{ said: string; asked: number }> {
  let said = ''
  let asked = 0
  await repairManager({
    dataDir,
    fs: systemFs,
    raftFs: nodeFs,
    random: systemRandom,
    write: text => (said += text),
    confirm: async () => {
      asked++
      return answer
    },
  }).catch((error: unknown) => {
    said += messageOf(error)
  })
  return { said, asked }
}

t.test('a damaged log is shown, then cut when told to', async t => {
  const dir = t.testdir()
  const { segment } = await aManager(dir)
  t.match(await repair(dir, true), { asked: 0, said: /log is whole/ })

  const bytes = readFileSync(segment)
  t.notOk(bytes.includes('secret text'), 'the log is sealed')
  const at = bytes.lastIndexOf('RAFT') - 20
  bytes[at] = (bytes[at] ?? 0) ^ 1
  writeFileSync(segment, bytes)

  const { said, asked } = await repair(dir, false)
  t.equal(asked, 1)
  t.match(said, /0000000001\.wal is damaged at byte \d+: an invalid record/)
  t.match(said, /kept: everything up to entry \d+/)
  t.match(said, /nothing was changed; to go on: --yes$/)
  t.same(readFileSync(segment), bytes)

  const done = await repair(dir, true)
  t.match(done.said, /Repaired: the last entry kept is \d+/)
  t.match(done.said, /only manager: start its daemon/)
  t.same(readFileSync(join(dir, 'manager/raft/wal.damaged-1/0000000001.wal')), bytes)
  t.match(await repair(dir, true), { asked: 0, said: /log is whole/ })
})

t.test('where there is no manager there is nothing to repair', async t => {
  t.match(await repair(t.testdir(), true), { asked: 0, said: /holds no manager/ })
})
