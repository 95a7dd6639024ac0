// Goal: what is sealed opens with its key alone, unaltered, and no nonce comes twice.
// Method: random plain texts; every byte flipped; keys replaced.
import fc from 'fast-check'
import t from 'tap'
import {
  aesSealer,
  keyIdOf,
  pruned,
  rotated,
  unwrapKeys,
  wrapKeys,
} from '../../../../manager/state/raft/sealer.ts'
import { systemRandom } from '../../../../runtime/random.ts'

const key = systemRandom.bytes(32)
const sealer = aesSealer(key, systemRandom)

t.test('what is sealed opens again', t => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), plain => {
      const sealed = sealer.seal(plain)
      return Buffer.from(sealer.open(sealed)).equals(plain) && sealed.length === plain.length + 33
    }),
  )
  t.pass('random records')
  t.end()
})

t.test('a record altered anywhere, or cut, does not open', t => {
  const sealed = sealer.seal(Buffer.from('the log'))
  for (let at = 0; at < sealed.length; at++) {
    const altered = Buffer.from(sealed)
    altered[at] = (altered[at] ?? 0) ^ 1
    t.throws(() => sealer.open(altered), { code: 'DataLoss' }, `byte ${at}`)
    t.throws(() => sealer.open(sealed.subarray(0, at)), { code: 'DataLoss' })
  }
  t.end()
})

t.test('after a change of key old records still open, with the old key at hand', t => {
  const old = sealer.seal(Buffer.from('old'))
  const next = systemRandom.bytes(32)
  t.equal(Buffer.from(aesSealer(next, systemRandom, [key]).open(old)).toString(), 'old')
  t.throws(() => aesSealer(next, systemRandom).open(old), /another key/)
  t.throws(() => aesSealer(Buffer.from('short'), systemRandom), { code: 'InvalidArgument' })
  t.end()
})

t.test('a key is replaced under a sealer in use; former keys go when nothing needs them', t => {
  const one = aesSealer(key, systemRandom)
  const old = one.seal(Buffer.from('old'))
  const keys = rotated({ current: key, former: [] }, systemRandom)
  one.use(keys)
  const fresh = one.seal(Buffer.from('new'))
  t.equal(one.keyOf(old), keyIdOf(key))
  t.equal(one.keyOf(fresh), keyIdOf(keys.current))
  t.equal(Buffer.from(one.open(old)).toString(), 'old')
  t.same(pruned(keys, new Set([one.keyOf(old)])), keys)
  one.use(pruned(keys, new Set([one.keyOf(fresh)])))
  t.equal(Buffer.from(one.open(fresh)).toString(), 'new')
  t.throws(() => one.open(old), /another key/)
  t.end()
})

t.test('wrapped keys show nothing and open with their key alone', t => {
  const keys = rotated({ current: key, former: [] }, systemRandom)
  const kek = systemRandom.bytes(32)
  const wrapped = wrapKeys(keys, kek, systemRandom)
  for (const [at, sealed] of [wrapped.current, ...wrapped.former].entries())
    t.notOk(Buffer.from(sealed).includes(Buffer.from([keys.current, key][at] ?? key)))
  const open = unwrapKeys(wrapped, kek, systemRandom)
  t.same([...open.current], [...keys.current])
  t.same([...(open.former[0] ?? [])], [...key])
  t.throws(() => unwrapKeys(wrapped, systemRandom.bytes(32), systemRandom), {
    code: 'FailedPrecondition',
  })
  t.end()
})

t.test('nonces differ, between sealers of one key too', t => {
  const sealers = [sealer, aesSealer(key, systemRandom)]
  const nonces = sealers.flatMap(one =>
    Array.from({ length: 1_000 }, () => Buffer.from(one.seal(Buffer.of(1))).toString('hex', 5, 17)),
  )
  t.equal(new Set(nonces).size, 2_000)
  t.end()
})
