const TABLE = table()

/** CRC-32 (IEEE 802.3, as in zlib), continued from `seed` so that records can be chained. */
export function crc32(data: Uint8Array, seed = 0): number {
  let crc = ~seed
  for (let i = 0; i < data.length; i++)
    crc = (crc >>> 8) ^ (TABLE[(crc ^ (data[i] as number)) & 0xff] as number)
  return ~crc >>> 0
}

function table(): Uint32Array {
  const out = new Uint32Array(256)
  for (let i = 0; i < 256; i++) {
    let value = i
    for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1
    out[i] = value
  }
  return out
}
