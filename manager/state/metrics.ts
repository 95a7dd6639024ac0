import { Counter, Gauge, Histogram, type Registry } from 'prom-client'
import type { RaftStatus } from 'raft-ts'
import { FAST, IO, SIZE } from '../metrics.ts'
import { KINDS } from './store/kinds.ts'
import type { MemberObserver, RaftMember } from './raft/member.ts'

const STATES = ['leader', 'candidate', 'follower', 'learner'] as const

/** A peer that was heard within this time counts as reachable: the default election timeout. */
const REACHABLE_MS = 1_000

/** The metrics of the replicated state. */
export interface StateMetrics {
  /** Hooks for RaftMember.open(). */
  readonly observer: MemberObserver
  /** What the gauges show from now on; undefined when this node is no manager any more. */
  show(member: RaftMember | undefined): void
}

/** Declares the raft and store metrics. Once for a registry: they outlive a member, whose node may be demoted and promoted. */
export function stateMetrics(registry: Registry): StateMetrics {
  const shown: Shown = { member: undefined }
  let cancelWatch: (() => void) | undefined
  const events = counter(registry, 'skein_store_watch_events_total', 'Change events published', [
    'kind',
    'action',
  ])
  raftGauges(registry, shown)
  peerGauges(registry, shown)
  storeGauges(registry, shown)
  return {
    observer: {
      ...raftObserver(registry),
      ...proposalObserver(registry),
      ...storeObserver(registry),
      ...transportObserver(registry),
    },
    show(member) {
      cancelWatch?.()
      shown.member = member
      cancelWatch = member?.store.watch(({ changes }) => {
        for (const { kind, before, after } of changes) {
          const action = before === undefined ? 'create' : after === undefined ? 'remove' : 'update'
          events.inc({ kind, action })
        }
      })
    },
  }
}

interface Shown {
  member: RaftMember | undefined
}

function raftGauges(registry: Registry, shown: Shown): void {
  const one = (name: string, help: string, read: (status: RaftStatus) => number): Gauge =>
    gauge(registry, name, help, [], (self: Gauge) => {
      const status = shown.member?.status()
      if (status) self.set(read(status))
    })
  one('skein_raft_is_leader', '1 on the leader', status => Number(status.role === 'leader'))
  one('skein_raft_has_leader', '1 when this member knows a leader', status =>
    Number(status.leader !== undefined),
  )
  one('skein_raft_term', 'Current term', status => status.term)
  one('skein_raft_last_index', 'Last log index', status => status.lastIndex)
  one('skein_raft_commit_index', 'Commit index', status => status.commitIndex)
  one('skein_raft_applied_index', 'Applied index', status => status.appliedIndex)
  one(
    'skein_raft_log_entries',
    'Entries kept in the log',
    status => status.lastIndex - status.firstIndex + 1,
  )
  one(
    'skein_raft_proposals_pending',
    'Proposals waiting for commit',
    status => status.pendingProposals,
  )
  one('skein_raft_snapshot_index', 'Index of the newest snapshot', status => status.snapshotIndex)
  gauge(
    registry,
    'skein_raft_state',
    '1 for the current state: leader, candidate, follower, learner',
    ['state'],
    self => {
      const role = shown.member?.status().role
      const current = role === 'precandidate' ? 'candidate' : role
      if (current !== undefined)
        for (const state of STATES) self.set({ state }, Number(state === current))
    },
  )
  gauge(
    registry,
    'skein_raft_members',
    'Members by suffrage (voter, learner)',
    ['suffrage'],
    self => {
      const members = shown.member?.status().members
      if (members === undefined) return
      const learners = members.filter(member => member.learner).length
      self.set({ suffrage: 'voter' }, members.length - learners)
      self.set({ suffrage: 'learner' }, learners)
    },
  )
}

function peerGauges(registry: Registry, shown: Shown): void {
  const each = (
    name: string,
    help: string,
    read: (peer: RaftStatus['peers'][number], status: RaftStatus) => number,
  ): Gauge<'peer'> =>
    gauge(registry, name, help, ['peer'], self => {
      const status = shown.member?.status()
      if (status?.role !== 'leader') return
      for (const peer of status.peers) self.set({ peer: String(peer.id) }, read(peer, status))
    })
  each(
    'skein_raft_peer_reachable',
    'Leader only: 1 when the peer answered within an election timeout',
    peer => Number((peer.lastContactMs ?? Infinity) <= REACHABLE_MS),
  )
  each(
    'skein_raft_peer_lag_entries',
    "Leader only: last index minus the peer's match index",
    (peer, status) => status.lastIndex - peer.matchIndex,
  )
}

function storeGauges(registry: Registry, shown: Shown): void {
  gauge(registry, 'skein_store_objects', 'Objects in the replicated store', ['kind'], self => {
    const counts = shown.member?.store.counts()
    if (counts) for (const kind of KINDS) self.set({ kind }, counts[kind])
  })
  gauge(registry, 'skein_store_watchers', 'Open watches', [], self => {
    if (shown.member) self.set(shown.member.store.watchers)
  })
}

function raftObserver(registry: Registry): Pick<MemberObserver, 'raft' | 'changed' | 'refused'> {
  const fsync = histogram(registry, 'skein_raft_wal_fsync_duration_seconds', 'fsync of the log', IO)
  const written = counter(
    registry,
    'skein_raft_wal_written_bytes_total',
    'Bytes written to the log',
  )
  const messages = counter(registry, 'skein_raft_messages_total', 'Raft messages', [
    'direction',
    'type',
  ])
  const lag = histogram(
    registry,
    'skein_raft_tick_lag_seconds',
    'How late the raft tick fired',
    FAST,
  )
  const apply = histogram(
    registry,
    'skein_raft_apply_duration_seconds',
    'Applying one committed batch to the store',
    FAST,
  )
  const batch = histogram(
    registry,
    'skein_raft_apply_batch_entries',
    'Entries per applied batch',
    SIZE,
  )
  const snapshots = counter(
    registry,
    'skein_raft_snapshots_total',
    'Snapshots by op (save, restore, send, receive) and result',
    ['op', 'result'],
  )
  const snapshotBytes = gauge(
    registry,
    'skein_raft_snapshot_size_bytes',
    'Size of the newest snapshot',
  )
  const diskFree = gauge(
    registry,
    'skein_raft_disk_free_bytes',
    'Free space on the disk of the log',
  )
  const diskLow = gauge(
    registry,
    'skein_raft_disk_low',
    '1 while this manager takes no changes because that disk is nearly full',
  )
  const refused = counter(
    registry,
    'skein_raft_refused_total',
    'What came from other managers and was refused (cluster, malformed, term, impostor, entry, snapshot, stranger)',
    ['reason'],
  )
  const stalls = counter(
    registry,
    'skein_raft_disk_stalls_total',
    'Times this leader handed over because its disk wrote nothing for an election timeout',
  )
  const leaderChanges = counter(registry, 'skein_raft_leader_changes_total', 'Leader changes seen')
  let leader: number | undefined
  return {
    raft: {
      fsync: seconds => fsync.observe(seconds),
      written: bytes => written.inc(bytes),
      message: (direction, type) => messages.inc({ direction, type }),
      tickLag: seconds => lag.observe(seconds),
      applied(entries, seconds) {
        apply.observe(seconds)
        batch.observe(entries)
      },
      snapshot(direction, bytes) {
        snapshots.inc({ op: direction === 'taken' ? 'save' : 'restore', result: 'ok' })
        snapshotBytes.set(bytes)
      },
      disk(bytes, isLow) {
        diskFree.set(bytes)
        diskLow.set(Number(isLow))
      },
      refused: reason => refused.inc({ reason }),
      diskStalled: () => stalls.inc(),
    },
    refused: reason => refused.inc({ reason }),
    changed(status) {
      if (status.leader === undefined || status.leader === leader) return
      leader = status.leader
      leaderChanges.inc()
    },
  }
}

function proposalObserver(registry: Registry): Pick<MemberObserver, 'proposed'> {
  const proposals = counter(
    registry,
    'skein_raft_proposals_total',
    'Proposals by result (committed, failed, dropped, timeout)',
    ['result'],
  )
  const duration = histogram(
    registry,
    'skein_raft_propose_duration_seconds',
    'Propose until applied on the proposer',
    IO,
  )
  return {
    proposed(result, seconds) {
      proposals.inc({ result })
      if (result === 'committed') duration.observe(seconds)
    },
  }
}

function storeObserver(registry: Registry): Pick<MemberObserver, 'viewed' | 'updated'> {
  const total = counter(
    registry,
    'skein_store_tx_total',
    'Transactions by result (ok, conflict, invalid, error)',
    ['op', 'result'],
  )
  const duration = histogram(
    registry,
    'skein_store_tx_duration_seconds',
    'Transactions by op (view, update, batch)',
    FAST,
    ['op'],
  )
  return {
    viewed(seconds) {
      total.inc({ op: 'view', result: 'ok' })
      duration.observe({ op: 'view' }, seconds)
    },
    updated(result, seconds) {
      total.inc({ op: 'update', result })
      duration.observe({ op: 'update' }, seconds)
    },
  }
}

function transportObserver(registry: Registry): Pick<MemberObserver, 'bytes' | 'sendFailed'> {
  const bytes = counter(registry, 'skein_raft_message_bytes_total', 'Raft message bytes', [
    'direction',
  ])
  const failures = counter(registry, 'skein_raft_send_failures_total', 'Failed sends to a peer', [
    'peer',
  ])
  return {
    bytes: (direction, count) => bytes.inc({ direction }, count),
    sendFailed: peer => failures.inc({ peer: String(peer) }),
  }
}

function counter<L extends string>(
  registry: Registry,
  name: string,
  help: string,
  labelNames: readonly L[] = [],
): Counter<L> {
  return new Counter({ name, help, labelNames: [...labelNames], registers: [registry] })
}

function histogram<L extends string>(
  registry: Registry,
  name: string,
  help: string,
  buckets: readonly number[],
  labelNames: readonly L[] = [],
): Histogram<L> {
  return new Histogram({
    name,
    help,
    labelNames: [...labelNames],
    buckets: [...buckets],
    registers: [registry],
  })
}

/** A gauge that is emptied and read anew at every scrape. */
function gauge<L extends string>(
  registry: Registry,
  name: string,
  help: string,
  labelNames: readonly L[] = [],
  read?: (self: Gauge<L>) => void,
): Gauge<L> {
  const made: Gauge<L> = new Gauge({
    name,
    help,
    labelNames: [...labelNames],
    registers: [registry],
    ...(read && {
      collect() {
        // Without labels reset() would leave a zero, as if it had been measured.
        if (labelNames.length === 0) made.remove()
        else made.reset()
        read(made)
      },
    }),
  })
  return made
}
