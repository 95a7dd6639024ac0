import type { ServiceSpec } from '../../proto/index.ts'

type Fixed = Uint8Array | string | number | boolean | null | undefined

/** A message that may still be written to: what flags are applied to before it is sent. */
export type Draft<T> = T extends Fixed
  ? T
  : T extends readonly (infer E)[]
    ? Draft<E>[]
    : { -readonly [K in keyof T]: Draft<T[K]> }

export type SpecDraft = Draft<ServiceSpec>

/** A copy that may be written to. */
export function draftOf<T>(value: T): Draft<T> {
  return structuredClone(value) as Draft<T>
}
