/**
 * Splits a command line as a POSIX shell would, without expansions: `sh -c "a b"` → sh, -c, a b.
 * @throws Error on an open quote
 */
export function shellWords(line: string): readonly string[] {
  const words: string[] = []
  let word: string | undefined
  let quote = ''
  for (let at = 0; at < line.length; at++) {
    const char = line[at] ?? ''
    const next = line[at + 1] ?? ''
    if (quote === "'") {
      if (char === "'") quote = ''
      else word = (word ?? '') + char
    } else if (char === '\\' && (quote === '' || /["\\$`\n]/.test(next))) {
      if (next !== '\n') word = (word ?? '') + next
      at++
    } else if (quote === '"') {
      if (char === '"') quote = ''
      else word = (word ?? '') + char
    } else if (char === "'" || char === '"') {
      quote = char
      word ??= ''
    } else if (/\s/.test(char)) {
      if (word !== undefined) words.push(word)
      word = undefined
    } else {
      word = (word ?? '') + char
    }
  }
  if (quote !== '') throw new Error(`unclosed ${quote} in command "${line}"`)
  if (word !== undefined) words.push(word)
  return words
}
