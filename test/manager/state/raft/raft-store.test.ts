// Goal: the store's contract holds when a Raft log is beneath it.
// Method: the shared contract on a single member with a disk in memory.
import { MemoryFs } from 'raft-ts'
import t from 'tap'
import { RaftMember } from '../../../../manager/state/raft/member.ts'
import { systemClock } from '../../../../runtime/clock.ts'
import { silentLog } from '../../../../runtime/log.ts'
import { seededRandom } from '../../../../runtime/random.ts'
import { storeContract } from '../store/contract.ts'
import { deadStream } from './cluster.ts'

storeContract(t, async (t, limits) => {
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
  })
  t.teardown(() => member.stop())
  if (!member.leadership.leader) {
    await new Promise<void>(resolve => {
      member.onLeadership(state => state.leader && resolve())
    })
  }
  return member.store
})
