import { RaftError } from '../errors.ts'

/** Grows as it is written to. Integers are LEB128 up to 2^53-1, since ids are random 52-bit numbers. */
export class ByteWriter {
  #buffer: Uint8Array
  #length = 0

  constructor(capacity = 64) {
    this.#buffer = new Uint8Array(capacity)
  }

  get length(): number {
    return this.#length
  }

  byte(value: number): void {
    this.#reserve(1)
    this.#buffer[this.#length++] = value
  }

  uint(value: number): void {
    if (!Number.isSafeInteger(value) || value < 0)
      throw new RaftError('Refused', `${value} is not an unsigned integer below 2^53`)
    this.#reserve(8)
    let rest = value
    while (rest >= 0x80) {
      this.#buffer[this.#length++] = (rest % 128) | 0x80
      rest = Math.floor(rest / 128)
    }
    this.#buffer[this.#length++] = rest
  }

  bytes(value: Uint8Array): void {
    this.uint(value.length)
    this.raw(value)
  }

  raw(value: Uint8Array): void {
    this.#reserve(value.length)
    this.#buffer.set(value, this.#length)
    this.#length += value.length
  }

  string(value: string): void {
    this.bytes(new TextEncoder().encode(value))
  }

  /** What was written, without a copy: the writer must not be used afterwards. */
  finish(): Uint8Array {
    return this.#buffer.subarray(0, this.#length)
  }

  #reserve(more: number): void {
    const need = this.#length + more
    if (need <= this.#buffer.length) return
    const bigger = new Uint8Array(Math.max(need, this.#buffer.length * 2))
    bigger.set(this.#buffer.subarray(0, this.#length))
    this.#buffer = bigger
  }
}

/** Reads what `ByteWriter` wrote. Every method throws `RaftError('Corrupt')` instead of reading past the end. */
export class ByteReader {
  readonly #buffer: Uint8Array
  #offset = 0

  constructor(buffer: Uint8Array) {
    this.#buffer = buffer
  }

  get remaining(): number {
    return this.#buffer.length - this.#offset
  }

  byte(): number {
    const value = this.#buffer[this.#offset]
    if (value === undefined) throw malformed('it ends early')
    this.#offset++
    return value
  }

  bool(): boolean {
    const value = this.byte()
    if (value > 1) throw malformed(`${value} is not a boolean`)
    return value === 1
  }

  uint(): number {
    let value = 0
    let scale = 1
    for (let i = 0; i < 8; i++) {
      const byte = this.byte()
      value += (byte & 0x7f) * scale
      if (byte < 0x80) {
        if (!Number.isSafeInteger(value)) break
        // One value, one form: the same message is the same bytes.
        if (byte === 0 && i > 0) throw malformed('an integer is longer than it needs to be')
        return value
      }
      scale *= 128
    }
    throw malformed('an integer exceeds 2^53')
  }

  /** A count of things that take at least `minBytes` each, so that a lie cannot make us allocate. */
  count(minBytes: number): number {
    const value = this.uint()
    if (value * minBytes > this.remaining) throw malformed('a count exceeds what follows')
    return value
  }

  /** A copy, so that a small field does not keep a big buffer alive. */
  bytes(): Uint8Array {
    const length = this.count(1)
    const start = this.#offset
    this.#offset += length
    const { buffer, byteOffset } = this.#buffer
    // Not a slice of the buffer itself: of one of Node's that is no plain Uint8Array and costs several times as much.
    return new Uint8Array(buffer, byteOffset + start, length).slice()
  }

  /** The rest, without a copy. */
  rest(): Uint8Array {
    const start = this.#offset
    this.#offset = this.#buffer.length
    return this.#buffer.subarray(start)
  }

  string(): string {
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(this.bytes())
    } catch (error) {
      if (error instanceof RaftError) throw error
      throw malformed('a string is not UTF-8')
    }
  }

  end(): void {
    if (this.remaining > 0) throw malformed(`${this.remaining} bytes too many`)
  }
}

/** The one error of bytes that nobody could have written: `RaftError` `Corrupt`. */
export function malformed(detail: string): RaftError {
  return new RaftError('Corrupt', `malformed raft bytes: ${detail}`)
}
