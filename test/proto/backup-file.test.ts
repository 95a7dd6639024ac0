// Goal: a backup is read whole or refused; no bit of it can change unseen.
// Method: a small file, cut at every length and changed at every byte; another version; something else.
import t from 'tap'
import fc from 'fast-check'
import { BackupFramer, type BackupHeader, readBackup } from '../../proto/backup-file.ts'
import { hasCode } from '../../runtime/errors.ts'

const HEADER: BackupHeader = {
  clusterId: 'c1',
  clusterName: 'harbour',
  index: 77,
  term: 3,
  createdAtMs: Date.UTC(2030, 0, 1),
  skeinVersion: '0.1.0',
}

function backup(parts: readonly Uint8Array[]): Buffer {
  const framer = new BackupFramer()
  const begin = framer.begin(HEADER)
  return Buffer.concat([begin, ...parts.map(part => framer.body(part)), framer.end()])
}
const small = backup([Buffer.from('some '), Buffer.from('state\n')])

t.test('what was framed is read back, whatever the pieces', async t => {
  const { header, body } = readBackup(small)
  t.same(header, HEADER)
  t.equal(Buffer.from(body).toString(), 'some state\n')
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 50 })), parts => {
      return Buffer.from(readBackup(backup(parts)).body).equals(Buffer.concat(parts))
    }),
  )
})

t.test('its first lines are for people', async t => {
  const [first, second] = small.toString().split('\n')
  t.equal(first, 'skein-backup 1')
  t.match(JSON.parse(second ?? ''), { clusterName: 'harbour', index: 77 })
})

t.test('cut anywhere, it is refused', async t => {
  for (let length = 0; length < small.length; length++) {
    try {
      readBackup(small.subarray(0, length))
      t.fail(`read at ${length} of ${small.length} bytes`)
    } catch (error) {
      if (!hasCode(error, 'DataLoss', 'InvalidArgument')) t.fail(`${length}: ${String(error)}`)
    }
  }
})

t.test('changed at any byte, it is refused', async t => {
  for (let at = 0; at < small.length; at++) {
    const changed = Buffer.from(small)
    changed[at] = (changed[at] ?? 0) ^ 1
    try {
      readBackup(changed)
      t.fail(`byte ${at} was changed unseen`)
    } catch (error) {
      const known = hasCode(error, 'DataLoss', 'InvalidArgument', 'FailedPrecondition')
      if (!known) t.fail(`${at}: ${String(error)}`)
    }
  }
})

t.test('of a later release, or no backup at all: said so', async t => {
  const later = Buffer.concat([Buffer.from('skein-backup 2\n'), small.subarray(15)])
  t.throws(() => readBackup(later), {
    code: 'FailedPrecondition',
    message: /version 2 and this release reads 1/,
  })
  t.throws(() => readBackup(Buffer.from('services:\n  web:\n')), { code: 'InvalidArgument' })
  t.throws(() => readBackup(small.subarray(0, -1)), { message: /cut short/ })
})
