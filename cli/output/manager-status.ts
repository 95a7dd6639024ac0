import type { ManagerFacts, ManagerReport } from '../../proto/index.ts'
import { tolerance, toleranceText } from '../../services/model/quorum.ts'
import { humanDuration } from './ago.ts'
import { bytesText } from './pretty.ts'
import { table } from './table.ts'

/** What a manager answers about the group. */
export interface GroupStatus {
  readonly raftId: number
  readonly leader: number
  readonly term: number
  readonly managers: readonly ManagerReport[]
}

/** One manager of the group, as templates and JSON see it. Indexes and bytes are numbers; absent: it did not answer. */
export interface ManagerRow {
  readonly Hostname: string
  readonly NodeID: string
  readonly RaftID: number
  readonly Address: string
  /** leader, follower, learner, or candidate */
  readonly Role: string
  readonly Reachable: boolean
  readonly Error: string
  readonly Self: boolean
  /** Entries behind the longest log that was seen. */
  readonly Lag: number | null
  readonly Facts: ManagerFacts | null
}

/** The group as data: what `--format` is applied to. */
export interface GroupObject {
  readonly Term: number
  readonly Leader: string
  readonly Voters: number
  readonly HealthyVoters: number
  readonly Quorum: number
  /** How many managers may be lost; negative: so many are missing. */
  readonly CanLose: number
  readonly Managers: readonly ManagerRow[]
}

export function groupObject(status: GroupStatus): GroupObject {
  const longest = Math.max(0, ...status.managers.map(({ facts }) => facts?.lastIndex ?? 0))
  const rows = status.managers.map(report => rowOf(report, status, longest))
  const voters = status.managers.filter(({ learner }) => !learner)
  const bears = tolerance(voters.length, voters.filter(({ facts }) => facts !== null).length)
  return {
    Term: status.term,
    Leader: rows.find(row => row.RaftID === status.leader)?.Address ?? '',
    Voters: bears.voters,
    HealthyVoters: bears.healthy,
    Quorum: bears.quorum,
    CanLose: bears.spare,
    Managers: rows,
  }
}

/** The group for people: a line a manager, then how many may be lost. */
export function groupText(group: GroupObject, nowMs: number): string {
  const header = ['MANAGER', 'ADDRESS', 'ROLE', 'REACHABLE', 'TERM', 'LAST', 'COMMITTED', 'APPLIED']
  header.push('LAG', 'FSYNC P99', 'SNAPSHOT', 'LOG', 'DISK FREE')
  const lines = group.Managers.map(row => [
    `${row.Hostname || row.NodeID || row.RaftID}${row.Self ? ' *' : ''}`,
    row.Address,
    row.Role,
    row.Reachable ? 'yes' : 'no',
    ...factCells(row, nowMs),
  ])
  const silent = group.Managers.filter(row => !row.Reachable)
  const bears = tolerance(group.Voters, group.HealthyVoters)
  const leader = group.Leader === '' ? ['No manager leads now.'] : []
  return [
    table([header, ...lines]),
    ...silent.map(row => `${row.Hostname || row.Address} does not answer: ${row.Error}\n`),
    '\n',
    ...[...leader, ...toleranceText(bears)].map(line => `${line}\n`),
  ].join('')
}

function rowOf(report: ManagerReport, status: GroupStatus, longest: number): ManagerRow {
  const { raftId, facts } = report
  // The leader that others know of counts; one that was cut off may still take itself for it.
  const isLeader = raftId === status.leader
  const said = facts?.role === 'leader' && !isLeader ? 'follower' : facts?.role
  return {
    Hostname: report.hostname,
    NodeID: report.nodeId,
    RaftID: raftId,
    Address: report.address,
    Role: isLeader ? 'leader' : report.learner ? 'learner' : (said ?? 'follower'),
    Reachable: facts !== null,
    Error: report.error,
    Self: raftId === status.raftId,
    Lag: facts === null ? null : Math.max(0, longest - facts.lastIndex),
    Facts: facts,
  }
}

const FACT_CELLS = 9

function factCells({ Facts: facts, Lag: lag }: ManagerRow, nowMs: number): readonly string[] {
  if (facts === null) return Array.from({ length: FACT_CELLS }, () => '')
  return [
    String(facts.term),
    String(facts.lastIndex),
    String(facts.commitIndex),
    String(facts.appliedIndex),
    String(lag),
    facts.fsyncP99Us === 0 ? '' : `${(facts.fsyncP99Us / 1000).toFixed(1)} ms`,
    snapshotText(facts, nowMs),
    bytesText(facts.logBytes),
    diskText(facts),
  ]
}

function snapshotText({ snapshotIndex, snapshotAtMs }: ManagerFacts, nowMs: number): string {
  if (snapshotIndex === 0) return 'none yet'
  if (snapshotAtMs === 0) return String(snapshotIndex)
  return `${snapshotIndex}, ${humanDuration(nowMs - snapshotAtMs).toLowerCase()} old`
}

function diskText({ diskFreeBytes: free, diskTotalBytes: total }: ManagerFacts): string {
  if (free < 0) return ''
  return total > 0 ? `${bytesText(free)} (${Math.floor((free / total) * 100)}%)` : bytesText(free)
}
