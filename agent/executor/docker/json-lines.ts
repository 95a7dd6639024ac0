import { StatusError } from '../../../runtime/errors.ts'

/** The longest line of an engine's event or progress stream that is read. */
const MAX_LINE_CHARACTERS = 1_048_576

/** The JSON values of a stream that holds one a line. @throws StatusError DataLoss on a line that is none */
export async function* readJsonLines<T>(stream: AsyncIterable<unknown>): AsyncGenerator<T> {
  const decoder = new TextDecoder()
  let rest = ''
  for await (const chunk of stream) {
    rest += decoder.decode(chunk as Uint8Array, { stream: true })
    const lines = rest.split('\n')
    rest = lines.pop() ?? ''
    if (rest.length > MAX_LINE_CHARACTERS) {
      throw new StatusError('DataLoss', 'engine: a line of its stream is too long')
    }
    for (const line of lines) if (line.trim() !== '') yield parse<T>(line)
  }
  if (rest.trim() !== '') yield parse<T>(rest)
}

function parse<T>(line: string): T {
  try {
    return JSON.parse(line) as T
  } catch (error) {
    throw new StatusError('DataLoss', 'engine: a line of its stream is no JSON', { cause: error })
  }
}
