// Goal: the state's metrics say what happened, under their documented names.
// Method: a member that leads alone does a few things; the registry is read.
import { Registry } from 'prom-client'
import t from 'tap'
import { stateMetrics } from '../../../manager/state/metrics.ts'
import { Cluster } from './raft/cluster.ts'
import { aService } from './store/builders.ts'

t.test('gauges follow the member, counters count', async t => {
  const registry = new Registry()
  const metrics = stateMetrics(registry)
  const cluster = new Cluster()
  const member = await cluster.start(1, { bootstrap: true, observer: metrics.observer })
  metrics.show(member)
  await cluster.until(() => member.leadership.leader)
  await cluster.settle(member.store.update(tx => tx.create('service', aService('s1', 'web'))))
  await t.rejects(
    cluster.settle(member.store.update(tx => tx.create('service', aService('s1', 'web')))),
  )
  member.store.view(tx => tx.list('service'))
  await member.join({ raftId: 2, address: 'm2' }, 0).catch(() => undefined)
  metrics.observer.raft?.refused?.('term')
  metrics.observer.refused?.('cluster')
  metrics.observer.raft?.diskStalled?.(1.5)
  const values = await read(registry)
  t.equal(values['skein_raft_is_leader'], 1)
  t.equal(values['skein_raft_state{state="leader"}'], 1)
  t.equal(values['skein_raft_state{state="follower"}'], 0)
  t.equal(values['skein_raft_members{suffrage="voter"}'], 1)
  t.equal(values['skein_store_objects{kind="service"}'], 1)
  t.equal(values['skein_store_tx_total{op="update",result="ok"}'], 1)
  t.equal(values['skein_store_tx_total{op="update",result="invalid"}'], 1)
  t.equal(values['skein_store_tx_total{op="view",result="ok"}'], 1)
  t.equal(values['skein_store_watch_events_total{kind="service",action="create"}'], 1)
  t.equal(values['skein_raft_proposals_total{result="committed"}'], 1)
  t.equal(values['skein_raft_leader_changes_total'], 1)
  t.equal(values['skein_raft_refused_total{reason="term"}'], 1)
  t.equal(values['skein_raft_refused_total{reason="cluster"}'], 1)
  t.equal(values['skein_raft_disk_stalls_total'], 1)
  t.ok((values['skein_raft_wal_fsync_duration_seconds_count'] ?? 0) > 0)
  t.ok((values['skein_raft_wal_written_bytes_total'] ?? 0) > 0)
  await cluster.kill(1)
  metrics.show(undefined)
  t.equal(
    (await read(registry))['skein_raft_state{state="leader"}'],
    undefined,
    'no manager, no state',
  )
})

async function read(registry: Registry): Promise<Record<string, number>> {
  const lines = (await registry.metrics())
    .split('\n')
    .filter(line => line !== '' && !line.startsWith('#'))
  return Object.fromEntries(
    lines.map(line => {
      const space = line.lastIndexOf(' ')
      return [line.slice(0, space), Number(line.slice(space + 1))]
    }),
  )
}
