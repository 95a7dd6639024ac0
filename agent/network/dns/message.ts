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

/**
 * @param limitBytes of the whole message; addresses that do not fit are left out and the message is marked as truncated, so
 * that the asker comes again by TCP (and one that cannot has at least some)
 */
export function encodeAnswer(query: Query, answer: Answer, limitBytes: number): Uint8Array {
  const { name, type } = query.question
  const flags = flagsOf(query, answer)
  const head = packet.encode({
    type: 'response',
    id: query.id,
    flags,
    questions: [{ name, type: type as packet.RecordType, class: 'IN' }],
    answers:
      answer.kind === 'pointer'
        ? [{ type: 'PTR', name, class: 'IN', ttl: TTL_S, data: answer.name }]
        : [],
  })
  const opt = query.edns ? OPT : NOTHING
  const all = answer.kind === 'addresses' ? answer.addresses : []
  const room = Math.floor((limitBytes - head.length - opt.length) / ADDRESS_BYTES)
  const fitting = all.slice(0, Math.max(0, room))
  const message = Buffer.concat([head, ...fitting.map(addressRecord), opt])
  if (fitting.length < all.length)
    message.writeUInt16BE(message.readUInt16BE(2) | packet.TRUNCATED_RESPONSE, 2)
  if (fitting.length > 0) message.writeUInt16BE(fitting.length, 6)
  message.writeUInt16BE(query.edns ? 1 : 0, 10)
  return message
}

const NOTHING = Buffer.alloc(0)
/** EDNS(0) record: root name, type 41, our datagram size, no flags, no options. */
const OPT = Buffer.from([
  0,
  0,
  41,
  MAX_DATAGRAM_BYTES >> 8,
  MAX_DATAGRAM_BYTES & 255,
  0,
  0,
  0,
  0,
  0,
  0,
])
const ADDRESS_BYTES = 16

/** An A record whose name points at the question's (RFC 1035 4.1.4): dns-packet would write it out each time. */
function addressRecord(address: string): Buffer {
  return Buffer.from([
    0xc0,
    12,
    0,
    1,
    0,
    1,
    0,
    0,
    0,
    TTL_S,
    0,
    4,
    ...address.split('.').map(Number),
  ])
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
