import { type Command, Option } from 'commander'
import { type LogEntry, type Node, type Task } from '../../proto/index.ts'
import { taskName } from '../../services/model/task.ts'
import { parseDurationMs } from '../../services/resource/parse.ts'
import type { Api } from '../connection.ts'
import type { Context } from '../context.ts'
import { Exit, Failure, usage } from '../failure.ts'
import { read, wholeNumber } from '../flags/values.ts'
import { NodeNames } from '../model/lookup.ts'

export interface LogFlags {
  readonly follow?: boolean
  readonly since?: string
  readonly until?: string
  readonly tail: string
  readonly timestamps?: boolean
  readonly raw?: boolean
  readonly taskIds?: boolean
  readonly trunc?: boolean
}

export function addLogOptions(command: Command): Command {
  return command
    .option('-f, --follow', 'go on with what comes')
    .option('--since <time>', 'from a time (2026-01-02T15:04:05Z) or for a duration back (5m)')
    .option('--until <time>', 'up to a time, or a duration back')
    .option('-n, --tail <lines>', 'only the last lines of each task', 'all')
    .option('-t, --timestamps', 'show when each line was written')
    .option('--raw', 'only the lines')
    .option('--no-task-ids', 'leave the ids out of the names')
    .option('--no-trunc', 'print ids in full')
    .addOption(new Option('--no-resolve', 'accepted for compatibility').hideHelp())
    .addOption(new Option('--details', 'accepted for compatibility').hideHelp())
}

/** A point in time as `--since` takes it: a duration back from now, seconds since 1970, or RFC 3339. @throws Failure (usage) */
export function parseTime(flag: string, text: string, nowMs: number): number {
  if (/^\d+(\.\d+)?$/.test(text)) return Math.round(Number(text) * 1000)
  if (/^\d{4}-\d{2}-\d{2}/.test(text)) {
    const at = Date.parse(text)
    if (Number.isNaN(at)) throw usage(`${flag}: "${text}" is no time`)
    return at
  }
  return nowMs - read(flag, text, parseDurationMs)
}

/** Prints what the targets write, each line with the task that wrote it; what is missing is said on stderr. */
export async function showLogs(
  context: Context,
  targets: readonly string[],
  flags: LogFlags,
): Promise<void> {
  const nowMs = context.clock.now()
  const api = await context.connect()
  const prefixes = new Prefixes(api, flags)
  const query = {
    follow: flags.follow ?? false,
    sinceMs: flags.since === undefined ? 0 : parseTime('--since', flags.since, nowMs),
    untilMs: flags.until === undefined ? 0 : parseTime('--until', flags.until, nowMs),
    tail: flags.tail === 'all' ? -1 : wholeNumber('--tail', flags.tail),
    stdout: true,
    stderr: true,
  }
  for await (const message of api.logs({ targets, query }, context.interrupt)) {
    if (message.warning !== '') context.stderr.write(`Warning: ${message.warning}\n`)
    for (const entry of message.entries) {
      const prefix = await prefixes.of(entry)
      const stamp = flags.timestamps === true ? `${timeText(entry)} ` : ''
      const line = `${stamp}${prefix}${Buffer.from(entry.data).toString('utf8')}\n`
      ;(entry.stderr ? context.stderr : context.stdout).write(line)
    }
  }
  if (context.interrupt.aborted) throw new Failure('interrupted', { exit: Exit.INTERRUPTED })
}

/** RFC 3339 with nanoseconds, as docker prints it. */
function timeText(entry: LogEntry): string {
  const nanos = String(entry.timeSubNs).padStart(6, '0')
  return new Date(entry.timeMs).toISOString().replace('Z', `${nanos}Z`)
}

/** `web.1.x0e8lwjyy4uw@w1    | `: the tasks and nodes are asked for as they turn up. */
class Prefixes {
  readonly #api: Api
  readonly #flags: LogFlags
  readonly #known = new Map<string, string>()
  #nodes: readonly Node[] | undefined
  #widest = 0

  constructor(api: Api, flags: LogFlags) {
    this.#api = api
    this.#flags = flags
  }

  async of(entry: LogEntry): Promise<string> {
    if (this.#flags.raw === true) return ''
    let name = this.#known.get(entry.taskId)
    if (name === undefined) {
      name = await this.#ask(entry)
      this.#known.set(entry.taskId, name)
      this.#widest = Math.max(this.#widest, name.length)
    }
    return `${name.padEnd(this.#widest)}    | `
  }

  async #ask(entry: LogEntry): Promise<string> {
    const { control } = this.#api
    const id = this.#flags.trunc === false ? entry.taskId : entry.taskId.slice(0, 12)
    this.#nodes ??= (await control.listNodes({})).nodes
    const node = new NodeNames(this.#nodes).of(entry.nodeId)
    let task: Task | null = null
    try {
      task = (await control.getTask({ id: entry.taskId })).task
    } catch {
      // The task was removed since: its id is all that is left of it, and its lines still count.
    }
    const name = task === null ? id : taskName(task)
    const tail = this.#flags.taskIds === false || task === null ? '' : `.${id}`
    return `${name}${tail}@${node}`
  }
}
