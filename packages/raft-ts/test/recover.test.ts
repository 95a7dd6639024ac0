// Goal: a survivor goes on alone with all its log held; a copy begins a group; who was left behind learns it and changes nothing.
// Method: nodes on virtual time and disks; messages are dropped and nodes killed as each case needs.
import t from 'tap'
import {
  type Member,
  MemoryFs,
  type Message,
  RECOVERY_GAP,
  RaftNode,
  type RaftNodeOptions,
  VirtualClock,
  recoverAlone,
  seedMember,
} from '../src/index.ts'
import { Machine } from './sim/machine.ts'

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const IDS = [1, 2, 3]

class Group {
  readonly clock = new VirtualClock()
  readonly nodes = new Map<number, RaftNode>()
  readonly machines = new Map<number, Machine>()
  readonly disks = new Map<number, MemoryFs>()
  readonly fatal: Error[] = []
  drop: (m: Message) => boolean = () => false

  options(id: number): RaftNodeOptions {
    const disk = this.disks.get(id) ?? new MemoryFs()
    this.disks.set(id, disk)
    const machine = new Machine()
    this.machines.set(id, machine)
    return {
      id,
      dir: 'data',
      fs: disk.mount(),
      clock: this.clock,
      random: () => 0.1 + id / 10,
      stateMachine: machine,
      send: messages => {
        for (const m of messages)
          if (!this.drop(m)) this.clock.after(1, () => this.nodes.get(m.to)?.step(m))
      },
      onFatal: error => this.fatal.push(error),
    }
  }

  async open(id: number, bootstrap?: readonly Member[]): Promise<RaftNode> {
    const node = await RaftNode.open(this.options(id), bootstrap ? { bootstrap } : {})
    this.nodes.set(id, node)
    return node
  }

  async start(): Promise<RaftNode> {
    const members = IDS.map(id => ({ id, address: `host-${id}`, learner: false }))
    for (const id of IDS) await this.open(id, members)
    await this.clock.advance(20)
    this.node(1).campaign()
    await this.clock.advance(50)
    return this.node(1)
  }

  node(id: number): RaftNode {
    const node = this.nodes.get(id)
    if (node === undefined) throw new Error(`node ${id} is not there`)
    return node
  }

  texts(id: number): readonly string[] {
    return this.machines.get(id)?.texts ?? []
  }

  /** As a crash of its machine. */
  kill(id: number): void {
    this.nodes.get(id)?.kill()
    this.nodes.delete(id)
    this.disks.get(id)?.crash(() => 0)
  }

  async during<T>(promise: Promise<T>, ms = 3000): Promise<T> {
    promise.catch(() => undefined)
    await this.clock.advance(ms)
    return promise
  }

  async recover(id: number): ReturnType<typeof recoverAlone> {
    this.kill(id)
    const recovered = await recoverAlone(this.options(id), { address: `new-${id}` })
    await this.open(id)
    await this.clock.advance(3000)
    return recovered
  }
}

t.test('a survivor goes on alone, with what it held and was not told to be committed', async t => {
  const g = new Group()
  const leader = await g.start()
  await g.during(leader.propose(bytes('a')), 500)
  // Acknowledged by 1 and 2; 3 stores it, and never hears that it is committed.
  g.drop = m => m.from === 1 && m.to === 3 && 'commit' in m && m.commit > 3
  const acknowledged = leader.propose(bytes('b'))
  await g.during(acknowledged, 5)
  t.same(g.texts(3), ['a'])
  t.equal(g.node(3).status().lastIndex, 4)
  g.kill(1)
  g.kill(2)
  const recovered = await g.recover(3)
  t.match(recovered, { lastIndex: 4, lost: [{ id: 1 }, { id: 2 }] })
  t.ok(recovered.commitIndex < 4, 'it did not know')
  t.same(g.texts(3), ['a', 'b'], 'what was acknowledged is there')
  const { role, members } = g.node(3).status()
  t.equal(role, 'leader')
  t.same(members, [{ id: 3, address: 'new-3', learner: false }])
  const { index } = await g.during(g.node(3).propose(bytes('c')))
  t.ok(index > RECOVERY_GAP, 'no index of the old group is used twice')
  t.same(g.fatal, [])
})

t.test('it stays so when it is opened again, and new members can join', async t => {
  const g = new Group()
  await g.during((await g.start()).propose(bytes('a')), 500)
  g.kill(2)
  g.kill(3)
  await g.recover(1)
  await g.during(g.node(1).propose(bytes('b')))
  g.kill(1)
  await g.open(1)
  await g.clock.advance(3000)
  t.same(g.texts(1), ['a', 'b'])
  await g.open(4)
  await g.during(g.node(1).addMember({ id: 4, address: 'host-4', learner: true }))
  await g.during(g.node(1).promoteMember(4))
  await g.during(g.node(1).propose(bytes('c')))
  t.same(g.texts(4), ['a', 'b', 'c'])
})

t.test(
  'those left behind come back as a majority: they learn it, go quiet, and change nothing',
  async t => {
    const g = new Group()
    await g.during((await g.start()).propose(bytes('a')), 500)
    for (const id of IDS) g.kill(id)
    await g.recover(1)
    await g.during(g.node(1).propose(bytes('ours')))
    await g.open(2)
    await g.open(3)
    await g.clock.advance(10_000)
    t.same(g.texts(1), ['a', 'ours'])
    t.equal(g.node(1).status().role, 'leader')
    for (const id of [2, 3]) {
      t.equal(g.node(id).status().removed, true, `${id} knows that it is out`)
      t.equal(g.node(id).status().role, 'follower')
    }
    t.same(g.fatal, [])
  },
)

t.test('a leader left behind, with followers and a higher term, is not followed', async t => {
  const g = new Group()
  await g.during((await g.start()).propose(bytes('a')), 500)
  g.kill(1)
  g.drop = m => m.to === 1 || m.from === 1
  await g.clock.advance(10_000)
  const theirs = [2, 3].find(id => g.node(id).status().role === 'leader') ?? 0
  await g.during(g.node(theirs).propose(bytes('theirs')), 500)
  await g.recover(1)
  await g.during(g.node(1).propose(bytes('ours')))
  t.ok(g.node(theirs).status().term >= 2)
  g.drop = () => false
  await g.clock.advance(10_000)
  t.same(g.texts(1), ['a', 'ours'])
  t.equal(g.node(theirs).status().removed, true)
  t.same(g.fatal, [])
})

t.test('who is no voter, and who has no state, cannot go on alone', async t => {
  const g = new Group()
  await t.rejects(recoverAlone(g.options(9), { address: 'x' }), {
    code: 'Refused',
    message: /member 9 is no voter/,
  })
  const leader = await g.start()
  await g.open(4)
  await g.during(leader.addMember({ id: 4, address: 'host-4', learner: true }))
  g.kill(4)
  await t.rejects(recoverAlone(g.options(4), { address: 'x' }), { message: /4 is no voter/ })
  const again = await g.open(4)
  await g.clock.advance(1000)
  t.equal(again.status().role, 'learner', 'nothing was changed')
})

t.test('a copy begins a group of its own, once', async t => {
  const g = new Group()
  const options = g.options(7)
  const seed = {
    fs: options.fs,
    dir: options.dir,
    self: { id: 7, address: 'host-7', learner: false },
    index: 1234,
    term: 5,
    removed: IDS,
    data: bytes(JSON.stringify({ index: 1234, texts: ['kept'] })),
  }
  t.equal(await RaftNode.hasState(options.fs, options.dir), false)
  await seedMember(seed)
  t.equal(await RaftNode.hasState(options.fs, options.dir), true)
  await t.rejects(seedMember(seed), { code: 'Refused', message: /already holds/ })
  const node = await g.open(7)
  await g.clock.advance(3000)
  const { index } = await g.during(node.propose(bytes('more')))
  t.ok(index > 1234 + RECOVERY_GAP)
  t.ok(node.status().term > 5)
  t.same(g.texts(7), ['kept', 'more'])
  await t.rejects(g.during(node.addMember({ id: 2, address: 'host-2', learner: true })), {
    message: /removed once/,
  })
  g.kill(7)
  await g.open(7)
  await g.clock.advance(3000)
  t.same(g.texts(7), ['kept', 'more'])
})
