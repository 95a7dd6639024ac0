import type { Context } from '../context.ts'
import { clockText } from './ago.ts'
import { ellipsis, width } from './table.ts'
import type { Progress } from '../wait/converge.ts'
import type { Line, Mark } from '../wait/lines.ts'

/** Shows how waits go on, on stderr. */
export interface Display {
  /** `key` tells several waits of one command apart. */
  show(key: string, progress: Progress): void
  /** A remark that stays: a plan's step, a warning. */
  say(text: string): void
  /** Leaves the last state standing. */
  end(): void
}

/** The display the terminal and --progress ask for. */
export function displayFor(context: Context, isQuiet: boolean): Display {
  const mode = isQuiet ? 'quiet' : context.progress
  if (mode === 'quiet') return { show: () => undefined, say: () => undefined, end: () => undefined }
  const isTty = mode === 'tty' || (mode === 'auto' && canRedraw(context))
  return isTty ? new TtyDisplay(context) : new PlainDisplay(context)
}

/** Whether the lines above can be written over. */
export function canRedraw({ stderr, env }: Pick<Context, 'stderr' | 'env'>): boolean {
  return stderr.isTty && env['TERM'] !== 'dumb' && (env['CI'] ?? '') === ''
}

/** A line when something changed, and only then: for logs of pipelines. */
class PlainDisplay implements Display {
  readonly #context: Context
  readonly #last = new Map<string, string>()

  constructor(context: Context) {
    this.#context = context
  }

  show(key: string, progress: Progress): void {
    if (progress.note !== '') this.#line(`${key}/`, `${progress.name}: ${progress.note}`)
    for (const line of progress.lines) {
      this.#line(`${key}/${line.name}`, `${line.name} ${line.text}`)
    }
  }

  say(text: string): void {
    this.#context.stderr.write(`${clockText(this.#context.clock.now())} ${text}\n`)
  }

  end(): void {
    this.#last.clear()
  }

  #line(key: string, text: string): void {
    if (this.#last.get(key) === text) return
    this.#last.set(key, text)
    this.say(text)
  }
}

/** More tasks than this are counted by state instead of listed. */
const LINES_MAX = 20

/** Redraws a block of lines in place. */
class TtyDisplay implements Display {
  readonly #context: Context
  readonly #shown = new Map<string, Progress>()
  #drawn = 0
  #last = ''

  constructor(context: Context) {
    this.#context = context
  }

  show(key: string, progress: Progress): void {
    this.#shown.set(key, progress)
    this.#draw()
  }

  say(text: string): void {
    this.#erase()
    this.#context.stderr.write(`${text}\n`)
    this.#draw()
  }

  end(): void {
    this.#shown.clear()
    this.#drawn = 0
    this.#last = ''
  }

  #draw(): void {
    const { stderr } = this.#context
    const lines = [...this.#shown.values()]
      .flatMap(progress => blockOf(progress, this.#context, this.#shown.size))
      .map(line => (width(line) < stderr.columns ? line : ellipsis(line, stderr.columns - 1)))
    const text = lines.map(line => `${line}\n`).join('')
    if (text === this.#last && this.#drawn > 0) return
    this.#erase()
    stderr.write(text)
    this.#drawn = lines.length
    this.#last = text
  }

  #erase(): void {
    if (this.#drawn > 0) this.#context.stderr.write(`\u001b[${this.#drawn}A\u001b[J`)
    this.#drawn = 0
  }
}

const BAR = 24

function blockOf(progress: Progress, context: Context, blocks: number): readonly string[] {
  const { paint } = context
  const part = progress.wanted === 0 ? 1 : Math.min(1, progress.running / progress.wanted)
  const filled = Math.round(part * BAR)
  const bar = paint.good('━'.repeat(filled)) + paint.dim('━'.repeat(BAR - filled))
  const note = progress.note === '' ? '' : `   ${progress.note}`
  const head = `${paint.bold(progress.name)}  ${bar}  ${progress.running} of ${progress.wanted}${note}`
  if (progress.lines.length > Math.max(4, Math.floor(LINES_MAX / blocks))) {
    return [head, ...counted(progress.lines).map(text => `  ${text}`)]
  }
  return [
    head,
    ...progress.lines.map(line => `  ${sign(line.mark, context)} ${line.name}  ${line.text}`),
  ]
}

function sign(mark: Mark, { paint }: Context): string {
  if (mark === 'good') return paint.good('✓')
  if (mark === 'bad') return paint.bad('✗')
  return mark === 'busy' ? paint.busy('●') : paint.dim('·')
}

/** What is not yet well, by what it says; the same text once. */
function counted(lines: readonly Line[]): readonly string[] {
  const counts = new Map<string, number>()
  for (const line of lines) {
    if (line.mark === 'good') continue
    const text = line.text.replace(/ on \S+/, '')
    counts.set(text, (counts.get(text) ?? 0) + 1)
  }
  return [...counts]
    .toSorted((a, b) => b[1] - a[1])
    .slice(0, 8)
    .map(([text, count]) => `${count} × ${text}`)
}
