// Transcript files: comments, then blocks of commands, a line `----`, what the commands printed, a blank line.

export interface Block {
  /** Of the first command, from 1 on. */
  readonly line: number
  readonly commands: readonly string[]
  readonly expected: readonly string[]
}

export interface Script {
  /** Comments and blank lines stand as they are; blocks are run. */
  readonly parts: readonly (string | Block)[]
}

const DIVIDER = '----'

/** @throws Error when commands have no `----` behind them */
export function parseScript(text: string): Script {
  const lines = text.split('\n')
  const parts: (string | Block)[] = []
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at] ?? ''
    if (line === '' || line.startsWith('#')) {
      parts.push(line)
      continue
    }
    const divider = lines.indexOf(DIVIDER, at)
    const commands = lines.slice(at, divider < 0 ? undefined : divider)
    if (divider < 0 || commands.includes(''))
      throw new Error(`line ${at + 1}: "${line}" is not followed by ${DIVIDER}`)
    const blank = lines.indexOf('', divider)
    const end = blank < 0 ? lines.length : blank
    parts.push({ line: at + 1, commands, expected: lines.slice(divider + 1, end) })
    at = end - 1
  }
  return { parts }
}

/**
 * The file as it would be if `run` told the truth.
 *
 * @param run the lines that one command prints; what it throws becomes a line, as a refusal is an outcome too
 */
export function rewrite(script: Script, run: (command: string) => readonly string[]): string {
  const lines = script.parts.flatMap(part => {
    if (typeof part === 'string') return [part]
    const printed = part.commands.flatMap(command => {
      if (command.startsWith('#')) return []
      try {
        return run(command)
      } catch (error) {
        return [`error: ${error instanceof Error ? error.message : String(error)}`]
      }
    })
    return [...part.commands, DIVIDER, ...(printed.length > 0 ? printed : ['ok'])]
  })
  return lines.join('\n')
}
