import type { Reader } from './reader.ts'
import type { ComposeOptions } from './stack.ts'

/** An absolute path for one written in the file: `./x` and `x` start at the file's directory, `~` at $HOME. */
export function resolvePath(path: string, options: ComposeOptions, reader: Reader): string {
  if (path.startsWith('/')) return normal(path)
  if (path === '~' || path.startsWith('~/')) {
    const home = options.env['HOME']
    if (home === undefined) return reader.fail(`"${path}" needs HOME, which is not set`)
    return normal(`${home}/${path.slice(1)}`)
  }
  const directory = options.directory ?? directoryOf(options.fileName)
  if (directory === undefined)
    return reader.fail(`"${path}" is relative, and the file's directory is not known`)
  return normal(`${directory}/${path}`)
}

/** The bytes of a file that the compose file names. */
export function readNamedFile(path: string, options: ComposeOptions, reader: Reader): Uint8Array {
  if (options.readFile === undefined) return reader.fail(`file "${path}" cannot be read from here`)
  const { readFile } = options
  return reader.parsed(() => readFile(resolvePath(path, options, reader)))
}

function directoryOf(fileName: string): string | undefined {
  return fileName.startsWith('/') ? fileName.slice(0, fileName.lastIndexOf('/')) : undefined
}

function normal(path: string): string {
  const parts: string[] = []
  for (const part of path.split('/')) {
    if (part === '..') parts.pop()
    else if (part !== '' && part !== '.') parts.push(part)
  }
  return `/${parts.join('/')}`
}
