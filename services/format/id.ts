const SHORT_LENGTH = 12

/** An id as tables show it: twelve characters, without `sha256:` in front. */
export function shortId(id: string): string {
  const at = id.indexOf(':')
  return id.slice(at + 1, at + 1 + SHORT_LENGTH)
}
