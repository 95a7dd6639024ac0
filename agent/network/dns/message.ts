import * as packet from 'dns-packet'
import type { Answer, Question } from './answer.ts'

// Between bytes and answers. RFC 1035; EDNS(0) as far as the size of datagrams goes (RFC 6891).

/** Seconds. Short, because addresses of tasks are short-lived. */
const TTL_S = 5
const CLASSIC_BYTES = 512
/** Fits an overlay's MTU, so that no answer is cut in pieces on the way. */
const MAX_DATAGRAM_BYTES = 1_232
const RCODE = { servfail: 2, nxdomain: 3, refused: 5 } as const

export interface Query {
  readonly id: number
  readonly recursionDesired: boolean
  readonly question: Question
  /** Class `IN`. */
  readonly internet: boolean
  /** Present when the asker speaks EDNS. */
  readonly edns: boolean
  /** Largest datagram the asker takes. */
  readonly datagramBytes: number
}

/** @returns undefined when the message is malformed, a response, or not one plain question: it is not answered */
export function parseQuery(message: Uint8Array): Query | undefined {
  try {
    const decoded = packet.decode(Buffer.from(message))
    const [question, ...more] = decoded.questions ?? []
    if (decoded.flag_qr || decoded.type !== 'query' || question === undefined || more.length > 0)
      return undefined
    // Opcode other than QUERY (RFC 1035 4.1.1), which dns-packet also calls 'query'.
    if (((message[2] ?? 0) & 0x78) !== 0) return undefined
    const opt = decoded.additionals?.find(record => record.type === 'OPT')
    const offered = opt?.type === 'OPT' ? opt.udpPayloadSize : CLASSIC_BYTES
    return {
      id: decoded.id ?? 0,
      recursionDesired: decoded.flag_rd,
      question: { name: question.name, type: question.type },
      internet: question.class === 'IN' || question.class === undefined,
      edns: opt !== undefined,
      datagramBytes: Math.min(MAX_DATAGRAM_BYTES, Math.max(CLASSIC_BYTES, offered)),
    }
  } catch {
    return undefined
  }
}

/** @param limitBytes a longer answer is sent as "truncated", and the asker comes again by TCP */
export function encodeAnswer(query: Query, answer: Answer, limitBytes: number): Uint8Array {
  const records = recordsOf(query.question, answer)
  const whole = encode(query, records, flagsOf(query, answer))
  if (whole.length <= limitBytes) return whole
  return encode(query, [], flagsOf(query, answer) | packet.TRUNCATED_RESPONSE)
}

function encode(query: Query, answers: packet.Answer[], flags: number): Uint8Array {
  const { name, type } = query.question
  return packet.encode({
    type: 'response',
    id: query.id,
    flags,
    questions: [{ name, type: type as packet.RecordType, class: 'IN' }],
    answers,
    additionals: query.edns ? [OPT] : [],
  })
}

const OPT: packet.Answer = {
  type: 'OPT',
  name: '.',
  udpPayloadSize: MAX_DATAGRAM_BYTES,
  extendedRcode: 0,
  ednsVersion: 0,
  flags: 0,
  flag_do: false,
  options: [],
}

function recordsOf({ name }: Question, answer: Answer): packet.Answer[] {
  const common = { name, class: 'IN', ttl: TTL_S } as const
  if (answer.kind === 'addresses')
    return answer.addresses.map(data => ({ ...common, type: 'A', data }))
  if (answer.kind === 'pointer') return [{ ...common, type: 'PTR', data: answer.name }]
  return []
}

function flagsOf(query: Query, { kind }: Answer): number {
  const rcode =
    kind === 'nxdomain' || kind === 'servfail' || kind === 'refused'
      ? RCODE[kind]
      : kind === 'forward'
        ? RCODE.servfail
        : 0
  const authoritative = rcode === 0 || rcode === RCODE.nxdomain ? packet.AUTHORITATIVE_ANSWER : 0
  const desired = query.recursionDesired ? packet.RECURSION_DESIRED : 0
  return packet.RECURSION_AVAILABLE | authoritative | desired | rcode
}
