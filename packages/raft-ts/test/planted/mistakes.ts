// Known ways to get Raft wrong, each as a change of the library's text, and how many seeds the simulator may take to find it.
import type { Edit } from '../sim/bundle.ts'

export interface Mistake {
  readonly name: string
  /** Seeds, from 1 on. */
  readonly budget: number
  readonly edits: readonly Edit[]
}

const edit = (file: string, from: string, to: string): Edit => ({ file, from, to })

export const MISTAKES: readonly Mistake[] = [
  // Votes and terms.
  {
    name: 'a vote leaves before it is on the disk',
    budget: 40,
    edits: [
      edit(
        'core/state.ts',
        'const dependent = DEPENDENT.has(full.type) ||',
        "const dependent = full.type !== 'voteResponse' && (DEPENDENT.has(full.type)) || full.type !== 'voteResponse' &&",
      ),
    ],
  },
  {
    name: 'a vote is forgotten over a restart',
    budget: 40,
    edits: [edit('driver/open.ts', ': found.hardState.vote,', ': 0,')],
  },
  {
    name: 'the term goes back over a restart',
    budget: 30,
    edits: [
      edit(
        'driver/open.ts',
        'term: Math.max(found.hardState.term, snapshot?.meta.term ?? 0)',
        'term: Math.max(entries.at(-1)?.term ?? 0, snapshot?.meta.term ?? 0)',
      ),
    ],
  },
  {
    name: 'whoever asks gets a vote, twice in a term',
    budget: 20,
    edits: [
      edit(
        'core/election.ts',
        's.vote === m.from || (s.vote === 0 && s.leader === 0)',
        's.leader === 0',
      ),
    ],
  },
  {
    name: 'a vote for a log that is longer but older',
    budget: 80,
    edits: [
      edit(
        'core/log.ts',
        'lastTerm > this.lastTerm || (lastTerm === this.lastTerm && lastIndex >= this.lastIndex)',
        'lastIndex >= this.lastIndex',
      ),
    ],
  },
  {
    name: 'a vote for a log of the same term that is shorter',
    budget: 80,
    edits: [
      edit(
        'core/log.ts',
        'lastTerm > this.lastTerm || (lastTerm === this.lastTerm && lastIndex >= this.lastIndex)',
        'lastTerm >= this.lastTerm',
      ),
    ],
  },
  {
    name: 'no pre-vote',
    budget: 20,
    edits: [edit('core/raft.ts', "this.state.config.preVote ? 'preVote' : 'vote'", "'vote'")],
  },
  {
    name: 'a healthy leader is not stuck to',
    budget: 40,
    edits: [edit('core/step.ts', 'if (request && s.inLease && !m.transfer) return false', '')],
  },
  // The log.
  {
    name: 'an append is acknowledged before it is on the disk',
    budget: 40,
    edits: [
      edit(
        'core/state.ts',
        'const dependent = DEPENDENT.has(full.type) ||',
        "const dependent = full.type !== 'appendResponse' && (DEPENDENT.has(full.type)) || full.type !== 'appendResponse' &&",
      ),
    ],
  },
  {
    name: 'a leader counts itself before its own disk',
    budget: 60,
    edits: [
      edit(
        'core/replication.ts',
        'jointIndex(s.electorate, id => s.progress.get(id)?.match ?? 0)',
        'jointIndex(s.electorate, id => (id === s.id ? s.log.lastIndex : (s.progress.get(id)?.match ?? 0)))',
      ),
    ],
  },
  {
    name: 'an entry of an old term is committed by counting',
    budget: 20,
    edits: [
      edit(
        'core/replication.ts',
        'if (s.log.termAt(index) !== s.term) return',
        'if (s.log.termAt(index) === undefined) return',
      ),
    ],
  },
  {
    name: 'applied before it is committed',
    budget: 10,
    edits: [
      edit(
        'core/log.ts',
        'this.#handedOut < Math.min(this.committed, this.#stable)',
        'this.#handedOut < this.#stable',
      ),
      edit(
        'core/log.ts',
        'const to = Math.min(this.committed, this.#stable)',
        'const to = this.#stable',
      ),
    ],
  },
  {
    name: 'an old append cuts off what follows it',
    budget: 80,
    edits: [
      edit(
        'core/log.ts',
        'e => e.index >= this.firstIndex && this.termAt(e.index) !== e.term',
        'e => e.index > this.committed',
      ),
    ],
  },
  {
    name: "a heartbeat's commit index is not cut to what its receiver holds",
    budget: 60,
    edits: [
      edit(
        'core/replication.ts',
        'commit: Math.min(p.match, s.log.committed)',
        'commit: s.log.committed',
      ),
    ],
  },
  // Reads.
  {
    name: 'a read is answered without asking a quorum',
    budget: 250,
    edits: [
      edit(
        'core/replication.ts',
        'if (!s.reads.add(from, context, s.log.committed)) return false\n  answerReads(s, s.reads.take(s.id, s.electorate))\n  if (s.reads.waiting > 0) heartbeat(s)',
        'answerReads(s, [{ from, context, index: s.log.committed }])',
      ),
    ],
  },
  {
    name: 'a lease has no end',
    budget: 600,
    edits: [edit('core/replication.ts', 's.lease.holds(s.clockMs, s.leaseMs)', 's.leaseMs > 0')],
  },
  {
    name: 'a new leader answers reads before it has committed',
    budget: 40,
    edits: [
      edit(
        'core/replication.ts',
        'if (s.log.termAt(s.log.committed) !== s.term) {',
        'if (s.log.termAt(s.log.committed) === undefined) {',
      ),
    ],
  },
  {
    name: 'a read does not wait until its index is applied',
    budget: 40,
    edits: [
      edit(
        'driver/reads.ts',
        'if (read.index > index) return true',
        'if (read.index < 0) return true',
      ),
    ],
  },
  {
    name: 'an answer to an earlier question serves later readers',
    budget: 40,
    edits: [
      edit(
        'driver/reads.ts',
        'this.#confirmed.push({ index, readers: this.#asked.readers })',
        'this.#confirmed.push({ index, readers: [...this.#asked.readers, ...this.#queued.splice(0)] })',
      ),
    ],
  },
  // Members.
  {
    name: 'a learner counts',
    budget: 120,
    edits: [
      edit(
        'core/joint.ts',
        'return membership.members.filter(m => !m.learner).map(m => m.id)',
        'return membership.members.map(m => m.id)',
      ),
    ],
  },
  {
    name: 'two changes of membership at once',
    budget: 60,
    edits: [
      edit(
        'core/raft.ts',
        "if (s.role === 'leader' && s.log.applied < s.pendingConfigIndex) return { refused: 'pending' }",
        '',
      ),
      edit(
        'driver/member-changes.ts',
        'log.applied >= pendingConfigIndex',
        'log.applied >= 0 * pendingConfigIndex',
      ),
      edit('driver/member-changes.ts', 'this.#queue = result.catch(() => undefined)', ''),
    ],
  },
  {
    name: 'a joint change is over before it has begun: the old half is never asked',
    budget: 400,
    edits: [
      edit(
        'core/joint.ts',
        'membership.joint === undefined ? [incoming] : [incoming, membership.joint.outgoing]',
        '[incoming]',
      ),
    ],
  },
  {
    name: 'in a joint change the new half alone commits',
    budget: 400,
    edits: [
      edit(
        'core/replication.ts',
        'jointIndex(s.electorate,',
        'jointIndex(s.electorate.slice(0, 1),',
      ),
    ],
  },
  {
    name: 'in a joint change the old half alone commits',
    budget: 400,
    edits: [
      edit('core/replication.ts', 'jointIndex(s.electorate,', 'jointIndex(s.electorate.slice(-1),'),
    ],
  },
  {
    name: 'a snapshot names members of an earlier time',
    budget: 200,
    edits: [
      edit(
        'driver/own-snapshots.ts',
        'const meta = { index: log.applied, term, membership }',
        'const meta = { index: log.applied, term, membership: this.#raft.state.snapshot?.membership ?? membership }',
      ),
    ],
  },
  // The disk.
  {
    name: 'a record is not synced',
    budget: 10,
    edits: [
      edit('wal/wal.ts', '      await file.sync()\n    } catch (cause) {', '    } catch (cause) {'),
    ],
  },
  {
    name: 'a snapshot gets its name before it is synced',
    budget: 40,
    edits: [
      edit('wal/snapshot-store.ts', 'await file.sync().catch(', 'await Promise.resolve().catch('),
    ],
  },
  {
    name: 'the log is restarted before its snapshot is saved',
    budget: 80,
    edits: [
      edit(
        'driver/writer.ts',
        '    if (snapshot !== undefined) await this.#store.save(snapshot)\n',
        '',
      ),
      edit(
        'driver/writer.ts',
        '    for (const ready of group) if (!this.#dead) this.#done(ready)',
        '    if (snapshot !== undefined) await this.#store.save(snapshot)\n    for (const ready of group) if (!this.#dead) this.#done(ready)',
      ),
    ],
  },
  {
    name: 'a received snapshot does not restart the log',
    budget: 40,
    edits: [
      edit(
        'driver/writer.ts',
        'restart: snapshot && { index: snapshot.meta.index, term: snapshot.meta.term }',
        'restart: undefined',
      ),
    ],
  },
  {
    name: 'a snapshot says it ends one entry earlier: it is applied twice after a restart',
    budget: 40,
    edits: [
      edit(
        'driver/own-snapshots.ts',
        'const meta = { index: log.applied, term, membership }',
        'const meta = { index: log.applied - 1, term: log.termAt(log.applied - 1) ?? term, membership }',
      ),
    ],
  },
]
