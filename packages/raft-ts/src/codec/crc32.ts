/** What a byte does to the CRC when 0, 1, 2 or 3 more follow it, so that four bytes cost one step. */
const T0 = firstTable()
const T1 = nextTable(T0)
const T2 = nextTable(T1)
const T3 = nextTable(T2)

/** CRC-32 (IEEE 802.3, as in zlib), continued from `seed` so that records can be chained. */
export function crc32(data: Uint8Array, seed = 0): number {
  const fours = data.length & ~3
  let crc = ~seed
  let i = 0
  for (; i < fours; i += 4) {
    crc ^= data[i]! | (data[i + 1]! << 8) | (data[i + 2]! << 16) | (data[i + 3]! << 24)
    crc = T3[crc & 0xff]! ^ T2[(crc >>> 8) & 0xff]! ^ T1[(crc >>> 16) & 0xff]! ^ T0[crc >>> 24]!
  }
  for (; i < data.length; i++) crc = (crc >>> 8) ^ T0[(crc ^ data[i]!) & 0xff]!
  return ~crc >>> 0
}

function firstTable(): Uint32Array {
  const out = new Uint32Array(256)
  for (let i = 0; i < 256; i++) {
    let value = i
    for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1
    out[i] = value
  }
  return out
}

function nextTable(previous: Uint32Array): Uint32Array {
  return previous.map(value => (value >>> 8) ^ T0[value & 0xff]!)
}
