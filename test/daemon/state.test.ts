// Goal: what a node keeps of its place and of its membership comes back as it was, and damage is named with its remedy.
// Method: files in memory, read again, cut short and overwritten with other things.
import t from 'tap'
import { forgetMember, managerDir, memberState } from '../../daemon/member-state.ts'
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
