// Goal: a join token reads back as it was written, everything else is refused saying what it is, secrets choose the role.
// Method: properties over random digests, secrets and damage; the messages by example.
import t from 'tap'
import fc from 'fast-check'
import { createRootCa } from '../../../manager/ca/root.ts'
import { joinTokens, newTokenSecret, roleOfSecret } from '../../../manager/ca/token.ts'
import { NodeRole } from '../../../proto/index.ts'
import { formatToken, parseToken, rootDigest, sameSecret } from '../../../proto/join-token.ts'
import { seededRandom } from '../../../runtime/random.ts'

const base36 = (length: number): fc.Arbitrary<string> =>
  fc.string({
    unit: fc.constantFrom(...'0123456789abcdefghijklmnopqrstuvwxyz'.split('')),
    minLength: length,
    maxLength: length,
  })
const token = fc.record({ digest: base36(50), secret: base36(25) })

t.test('a token reads back as it was written, with space around it', async t => {
  fc.assert(
    fc.property(token, value => {
      const read = parseToken(` ${formatToken(value)}\n`)
      return read.digest === value.digest && read.secret === value.secret
    }),
  )
  t.pass('100 tokens')
})

t.test('a token with any character removed is refused, and its secret is not repeated', async t => {
  fc.assert(
    fc.property(token, fc.nat(), (value, at) => {
      const text = formatToken(value)
      const cut = at % text.length
      try {
        parseToken(text.slice(0, cut) + text.slice(cut + 1))
        return false
      } catch (error) {
        return error instanceof Error && !error.message.includes(value.secret.slice(1, -1))
      }
    }),
  )
  t.pass('100 damaged tokens')
})

t.test('refusals say what the text is', async t => {
  const tail = `${'a'.repeat(50)}-${'b'.repeat(25)}`
  const message = (text: string): string => {
    try {
      parseToken(text)
      return 'accepted'
    } catch (error) {
      return (error as Error).message
    }
  }
  t.match(message('hello'), /not a join token .*skein swarm join-token worker/)
  t.match(message(''), /not a join token/)
  t.match(message(`SWMTKN-1-${tail}`), /Docker Swarm/)
  t.match(message(`SKNTKN-2-${tail}`), /of version 2, and this Skein reads version 1/)
  t.match(message(`SKNTKN-1-${tail}-x`), /damaged/)
  t.match(message(`SKNTKN-1-${tail.toUpperCase()}`), /damaged/)
})

t.test('the secret decides the role; empty and other secrets admit nobody', async t => {
  const rootCa = await createRootCa({ clusterId: 'c', nowMs: Date.now(), random: seededRandom(1) })
  const tokens = joinTokens(rootCa)
  t.equal(roleOfSecret(rootCa, parseToken(tokens.worker).secret), NodeRole.WORKER)
  t.equal(roleOfSecret(rootCa, parseToken(tokens.manager).secret), NodeRole.MANAGER)
  t.equal(roleOfSecret(rootCa, newTokenSecret(seededRandom(2))), undefined)
  t.equal(roleOfSecret({ ...rootCa, workerSecret: '' }, ''), undefined)
  t.equal(parseToken(tokens.worker).digest, rootDigest(rootCa.certificatePem))
  t.equal(rootDigest(rootCa.certificatePem).length, 50)
  t.throws(() => rootDigest('nonsense'), { code: 'InvalidArgument' })
})

t.test('secrets compare by content', async t => {
  fc.assert(
    fc.property(
      base36(25),
      base36(25),
      (a, b) => sameSecret(a, b) === (a === b) && sameSecret(a, a),
    ),
  )
  t.equal(sameSecret('', ''), false)
})
