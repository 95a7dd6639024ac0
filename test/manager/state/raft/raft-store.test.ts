// Goal: the store's contract holds when a Raft log is beneath it.
// Method: the shared contract on a single member with a disk in memory.
import { MemoryFs, type RaftMetrics } from 'raft-ts'
import t, { type Test } from 'tap'
import { RaftMember } from '../../../../manager/state/raft/member.ts'
import { systemClock } from '../../../../runtime/clock.ts'
import { silentLog } from '../../../../runtime/log.ts'
import { seededRandom } from '../../../../runtime/random.ts'
import type { StoreLimits } from '../../../../manager/state/store/memory-store.ts'
import { aService } from '../store/builders.ts'
import { storeContract } from '../store/contract.ts'
import { deadStream } from './cluster.ts'

const open = async (
  t: Pick<Test, 'teardown'>,
  limits?: StoreLimits,
  raft: RaftMetrics = {},
): Promise<RaftMember> => {
  const member = await RaftMember.open({
    raftId: 1,
    address: 'm1',
    clusterId: 'lab',
    dir: 'raft',
    fs: new MemoryFs(),
    clock: systemClock,
    random: seededRandom(1),
    log: silentLog,
    bootstrap: true,
    dial: deadStream,
    onFatal: error => t.teardown(() => Promise.reject(error)),
    ...(limits && { storeLimits: limits }),
    observer: { raft },
  })
  t.teardown(() => member.stop())
  if (!member.leadership.leader) {
    await new Promise<void>(resolve => {
      member.onLeadership(state => state.leader && resolve())
    })
  }
  return member
}

storeContract(t, async (t, limits) => (await open(t, limits)).store)

t.test(
  'updates in flight share the way to the disk: many cost few syncs, not one each',
  async t => {
    let syncs = 0
    const { store } = await open(t, {}, { fsync: () => (syncs += 1) })
    const create = (id: string): Promise<void> =>
      store.update(tx => tx.create('service', aService(id)))
    const during = async (work: () => Promise<unknown>): Promise<number> => {
      const before = syncs
      await work()
      return syncs - before
    }
    const names = Array.from({ length: 256 }, (_, n) => `n${n}`)
    const together = await during(() => Promise.all(names.map(create)))
    t.ok(together <= 8, `${together} syncs for 256 updates at once`)
    const apart = await during(async () => {
      for (let n = 0; n < 20; n++) await create(`one-by-one-${n}`)
    })
    t.ok(
      apart >= 20,
      `${apart} syncs for 20 updates one after another: each is durable when it resolves`,
    )
  },
)
