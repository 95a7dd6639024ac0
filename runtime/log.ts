import { pino } from 'pino'

export type Fields = Readonly<Record<string, unknown>>

/** A structured log. Messages are constant text; what varies goes into fields. Secrets never do. */
export interface Log {
  debug(message: string, fields?: Fields): void
  info(message: string, fields?: Fields): void
  warn(message: string, fields?: Fields): void
  error(message: string, fields?: Fields): void
  /** A log that adds `fields` to every line. */
  child(fields: Fields): Log
}

export type Level = 'debug' | 'info' | 'warn' | 'error'

/** JSON lines on standard error. */
export function jsonLog(level: Level = 'info'): Log {
  const options = { level, base: null, timestamp: pino.stdTimeFunctions.isoTime }
  return wrap(pino(options, pino.destination({ dest: 2, sync: true })))
}

interface Sink {
  debug(fields: Fields, message: string): void
  info(fields: Fields, message: string): void
  warn(fields: Fields, message: string): void
  error(fields: Fields, message: string): void
  child(fields: Fields): Sink
}

function wrap(sink: Sink): Log {
  return {
    debug: (message, fields = {}) => sink.debug(fields, message),
    info: (message, fields = {}) => sink.info(fields, message),
    warn: (message, fields = {}) => sink.warn(fields, message),
    error: (message, fields = {}) => sink.error(fields, message),
    child: fields => wrap(sink.child(fields)),
  }
}

/** Says nothing. */
export const silentLog: Log = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  child: () => silentLog,
}

/** Keeps its lines, for tests and simulations. */
export class MemoryLog implements Log {
  readonly lines: { level: Level; message: string; fields: Fields }[]
  readonly #fields: Fields

  constructor(lines: MemoryLog['lines'] = [], fields: Fields = {}) {
    this.lines = lines
    this.#fields = fields
  }

  debug(message: string, fields?: Fields): void {
    this.#add('debug', message, fields)
  }
  info(message: string, fields?: Fields): void {
    this.#add('info', message, fields)
  }
  warn(message: string, fields?: Fields): void {
    this.#add('warn', message, fields)
  }
  error(message: string, fields?: Fields): void {
    this.#add('error', message, fields)
  }
  child(fields: Fields): Log {
    return new MemoryLog(this.lines, { ...this.#fields, ...fields })
  }

  #add(level: Level, message: string, fields: Fields = {}): void {
    this.lines.push({ level, message, fields: { ...this.#fields, ...fields } })
  }
}
