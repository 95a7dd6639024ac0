// raft-ts beside etcd: three processes each, 256-byte values, every acknowledged one made durable by a majority's fdatasync,
// data of both on one disk. Over gRPC one and the same client asks both (grpc-js, KV.Put): it is the bottleneck of either
// from a few thousand calls a second on. Our members talk mutual TLS among themselves and seal their logs, etcd's do not.
import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { ensurePackages } from '../lab/install.ts'
import { Child } from './raft/child.ts'
import type { Driven } from './raft/drive.ts'
import { Etcd } from './raft/etcd.ts'
import { driveFloor } from './raft/floor.ts'
import { Members } from './raft/members.ts'
import type { Benchmark, Row } from './report.ts'

const PROPOSERS = [1, 64, 1000]
const SECONDS = 2
/** Not /tmp, which may be memory. */
const DISK = '/var/tmp'

type Figures = Map<string, number[]>

export const raftBenchmark: Benchmark = async ({ rounds, log }) => {
  await ensurePackages(['etcd-server'], log)
  const dir = mkdtempSync(join(DISK, 'skein-bench-raft-'))
  const figures: Figures = new Map()
  const note = (what: string, value: number): void => {
    figures.set(what, [...(figures.get(what) ?? []), value])
  }
  const members = await Members.up(dir)
  const etcd = await Etcd.up(dir)
  const client = await Child.start('client.ts')
  try {
    for (let round = 1; round <= rounds; round++) {
      log(`round ${round} of ${rounds}`)
      for (const proposers of PROPOSERS) {
        const says = (who: string, driven: Driven): void => {
          note(`${who} ${proposers} rate`, driven.perSecond)
          note(`${who} ${proposers} p50`, driven.p50Ms)
          note(`${who} ${proposers} p99`, driven.p99Ms)
        }
        says('floor', await driveFloor(join(dir, 'floor'), proposers, SECONDS))
        const before = await members.counts()
        const inside = await members.driveLeader(proposers, SECONDS)
        const after = await members.counts()
        says('inside', inside)
        note(`cpu ${proposers}`, inside.cpuUsPerEntry)
        const records = after.map((now, i) => now.records - (before[i]?.records ?? 0))
        const syncs = after.map((now, i) => now.syncs - (before[i]?.syncs ?? 0))
        for (const [i, count] of syncs.entries()) note('syncs a record', count / (records[i] ?? 0))
        note(`entries a sync ${proposers}`, inside.operations / Math.max(...syncs))
        const asked = { proposers, seconds: SECONDS }
        const leader = await members.leader()
        says('grpc', await client.ask({ ...asked, address: leader?.clients }))
        says('etcd', await client.ask({ ...asked, address: await etcd.leader() }))
      }
    }
  } finally {
    await Promise.all([client.end(), members.down(), etcd.down()])
    rmSync(dir, { recursive: true, force: true })
  }
  return rowsOf(figures)
}

function rowsOf(figures: Figures): readonly Row[] {
  const of = (what: string): readonly number[] => figures.get(what) ?? []
  const perConcurrency = PROPOSERS.flatMap((n): Row[] => {
    const name = `${n} ${n === 1 ? 'proposer' : 'proposers'}`
    return [
      {
        what: `${name} over gRPC (peer: etcd)`,
        unit: '/s',
        skein: of(`grpc ${n} rate`),
        peer: of(`etcd ${n} rate`),
        target: { text: '≥ 1.0 x etcd', holds: (skein, peer) => skein >= peer },
      },
      { what: '  p50', unit: 'ms', skein: of(`grpc ${n} p50`), peer: of(`etcd ${n} p50`) },
      { what: '  p99', unit: 'ms', skein: of(`grpc ${n} p99`), peer: of(`etcd ${n} p99`) },
      {
        what: `${name} in the leader (peer: the disk alone)`,
        unit: '/s',
        skein: of(`inside ${n} rate`),
        peer: of(`floor ${n} rate`),
        ...(n === 1000 && { target: { text: '≥ 120,000/s', holds: skein => skein >= 120_000 } }),
      },
      { what: '  p50', unit: 'ms', skein: of(`inside ${n} p50`), peer: of(`floor ${n} p50`) },
      { what: '  p99', unit: 'ms', skein: of(`inside ${n} p99`), peer: of(`floor ${n} p99`) },
      {
        what: '  CPU of the leader an entry',
        unit: 'µs',
        skein: of(`cpu ${n}`),
        peer: [],
        ...(n >= 64 && { target: { text: '≤ 8 µs', holds: skein => skein <= 8 } }),
      },
      { what: '  entries a sync', unit: 'entries', skein: of(`entries a sync ${n}`), peer: [] },
    ]
  })
  return [
    ...perConcurrency,
    {
      what: 'syncs a record, every member',
      unit: 'syncs',
      skein: of('syncs a record'),
      peer: [],
      target: { text: '1 exactly', holds: skein => skein === 1 },
    },
  ]
}
