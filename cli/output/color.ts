import picocolors from 'picocolors'

/** Colours texts, or leaves them alone when colour is off. */
export interface Paint {
  readonly good: (text: string) => string
  readonly bad: (text: string) => string
  readonly busy: (text: string) => string
  readonly dim: (text: string) => string
  readonly bold: (text: string) => string
}

export type ColorWish = 'auto' | 'always' | 'never'

/**
 * Whether to colour: what --color says, else NO_COLOR, FORCE_COLOR, CI and TERM=dumb, else whether it is a terminal.
 * @see https://no-color.org
 */
export function wantsColor(
  wish: ColorWish,
  env: Readonly<Record<string, string | undefined>>,
  isTty: boolean,
): boolean {
  if (wish !== 'auto') return wish === 'always'
  if ((env['NO_COLOR'] ?? '') !== '') return false
  if ((env['FORCE_COLOR'] ?? '') !== '') return env['FORCE_COLOR'] !== '0'
  return isTty && env['TERM'] !== 'dumb' && (env['CI'] ?? '') === ''
}

export function paint(enabled: boolean): Paint {
  const colors = picocolors.createColors(enabled)
  return {
    good: colors.green,
    bad: colors.red,
    busy: colors.yellow,
    dim: colors.dim,
    bold: colors.bold,
  }
}
