// Goal: what a node keeps of its place and of its membership comes back as it was, and damage is named with its remedy.
// Method: files in memory, read again, cut short and overwritten with other things.
import t from 'tap'
import {
  existingMember,
  forgetMember,
  managerDir,
  MemberKeys,
  memberState,
  writeMember,
} from '../../daemon/member-state.ts'
import { readPlace, removePlace, writePlace } from '../../daemon/place.ts'
import { MemoryFs } from '../../runtime/fs.ts'
import { seededRandom } from '../../runtime/random.ts'

const DIR = '/state'
const PLACE = '/state/place.json'
const MEMBER = '/state/manager/member.json'
const DAMAGES = ['', '{', 'null', '[]', '7', '{"address":7,"managers":[]}', '{"raftId":"1"}']

t.test('a place is read as it was written', async t => {
  const fs = new MemoryFs()
  const place = { address: '10.0.0.1', managers: ['10.0.0.1:2377', '10.0.0.2:2377'] }
  await writePlace(fs, DIR, place)
  t.same([...fs.files.keys()], [PLACE])
  t.same(await readPlace(fs, DIR), place)
  await removePlace(fs, DIR)
  t.same([...fs.files.keys()], [])
})

t.test('a missing or damaged place names the file and how to go on', async t => {
  const fs = new MemoryFs()
  const refusal = {
    code: 'DataLoss',
    message:
      /^\/state\/place\.json is missing or damaged: .*skein swarm leave --force, and join again$/,
  }
  await t.rejects(readPlace(fs, DIR), refusal)
  for (const text of [...DAMAGES, '{"address":"10.0.0.1","managers":[7]}']) {
    await fs.write(PLACE, text)
    await t.rejects(readPlace(fs, DIR), refusal, text)
  }
})

t.test('a member keeps its id and its key for as long as its file stands', async t => {
  const fs = new MemoryFs()
  const first = await memberState(fs, DIR, seededRandom(1))
  t.equal(first.dataKey.length, 32)
  t.ok(Number.isSafeInteger(first.raftId) && first.raftId > 0)
  for (const seed of [2, 3]) {
    const again = await memberState(fs, DIR, seededRandom(seed))
    t.equal(again.raftId, first.raftId)
    t.same([...again.dataKey], [...first.dataKey])
  }
  await fs.write(`${managerDir(DIR)}/raft/log`, 'entries')
  await forgetMember(fs, DIR)
  t.same([...fs.files.keys()], [], 'the log goes with it')
  const other = await memberState(fs, DIR, seededRandom(4))
  t.not(other.raftId, first.raftId)
  t.notSame([...other.dataKey], [...first.dataKey])
})

t.test(
  'data keys are stored wrapped when there is a key for that, which can be replaced',
  async t => {
    const fs = new MemoryFs()
    const random = seededRandom(1)
    const [first, second] = [random.bytes(32), random.bytes(32)]
    const place = (kek?: Uint8Array) => ({ fs, dataDir: DIR, random, kek })
    const text = (): string => new TextDecoder().decode(fs.files.get(MEMBER))
    const state = await memberState(fs, DIR, random)
    const plain = Buffer.from(state.dataKey).toString('base64')
    t.ok(text().includes(plain), 'without one they lie there as they are')

    const keys = new MemberKeys(place(first), state)
    await keys.rotate()
    const changed = await existingMember(place(first))
    t.same(
      changed?.formerKeys.map(key => [...key]),
      [[...state.dataKey]],
    )
    t.notSame([...(changed?.dataKey ?? [])], [...state.dataKey])
    for (const key of [changed?.dataKey ?? [], state.dataKey])
      t.notOk(text().includes(Buffer.from(key).toString('base64')), 'no key is to be read')
    await t.rejects(memberState(fs, DIR, random), { code: 'FailedPrecondition', message: /locked/ })
    await t.rejects(memberState(fs, DIR, random, second), { code: 'FailedPrecondition' })

    if (changed) await writeMember(place(second), changed)
    t.same(await existingMember(place(second)), changed)
    await t.rejects(memberState(fs, DIR, random, first), { code: 'FailedPrecondition' })
    if (changed) await writeMember(place(), changed)
    t.same(await memberState(fs, DIR, random), changed, 'and given up again')

    await writeMember(place(first), changed ?? state)
    const stored = JSON.parse(text()) as { dataKey: string }
    const altered = Buffer.from(stored.dataKey, 'base64')
    altered[40] = (altered[40] ?? 0) ^ 1
    await fs.write(MEMBER, JSON.stringify({ ...stored, dataKey: altered.toString('base64') }))
    await t.rejects(memberState(fs, DIR, random, first), { code: 'DataLoss' })
  },
)

t.test('a key that cannot be stored is not used', async t => {
  const fs = new MemoryFs()
  const random = seededRandom(1)
  const state = await memberState(fs, DIR, random)
  const keys = new MemberKeys({ fs, dataDir: DIR, random }, state)
  const write = fs.write.bind(fs)
  fs.write = () => Promise.reject(new Error('the disk is full'))
  await t.rejects(keys.rotate(), /full/)
  const sealed = keys.sealer.seal(Buffer.from('x'))
  fs.write = write
  const again = new MemberKeys({ fs, dataDir: DIR, random }, await memberState(fs, DIR, random))
  t.equal(Buffer.from(again.sealer.open(sealed)).toString(), 'x')
})

t.test('a damaged member file stops the manager and is never replaced by a new one', async t => {
  const key = Buffer.alloc(32, 1).toString('base64')
  const cases = [
    ...DAMAGES,
    '{"raftId":1}',
    `{"raftId":1.5,"dataKey":"${key}"}`,
    `{"raftId":0,"dataKey":"${key}"}`,
    '{"raftId":1,"dataKey":""}',
    `{"raftId":1,"dataKey":"${key.slice(0, 20)}"}`,
  ]
  for (const text of cases) {
    const fs = new MemoryFs()
    await fs.write(MEMBER, text)
    await t.rejects(
      memberState(fs, DIR, seededRandom(1)),
      { code: 'DataLoss', message: /^\/state\/manager\/member\.json is damaged: .*leave --force/ },
      text,
    )
    t.equal(new TextDecoder().decode(await fs.read(MEMBER)), text)
  }
})
