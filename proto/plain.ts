import type Long from 'long'

type Scalar = string | number | boolean | bigint | Uint8Array
type Present<T> = Exclude<T, null | undefined>

type Field<T> = [Extract<T, Long>] extends [never]
  ? T extends Scalar
    ? T
    : T extends readonly (infer E)[]
      ? readonly Field<E>[]
      : string extends keyof T
        ? { readonly [K in keyof T]: Field<T[K]> }
        : Plain<T>
  : number

/** A singular message field decodes to null when absent; every other absent field decodes to its default. */
type Singular<T> = T extends Scalar | Long | readonly unknown[]
  ? never
  : string extends keyof T
    ? never
    : null

/** Keys decode() may leave out: proto3 `optional` scalars, and the arms a oneof did not choose. */
type MaybeKey<T> = {
  [K in keyof T]-?: null extends T[K] ? K : [Present<T[K]>] extends [never] ? K : never
}[keyof T]

/**
 * Plain is a generated $Shape as decode() returns it: immutable and free of Long, with every field present
 * but those of MaybeKey. Needs pbjs --null-semantics.
 */
export type Plain<T> = T extends unknown
  ? {
      readonly [K in Exclude<keyof T, MaybeKey<T> | '$unknowns'>]-?:
        | Field<Present<T[K]>>
        | (undefined extends T[K] ? Singular<Present<T[K]>> : never)
    } & { readonly [K in MaybeKey<T>]?: Field<Present<T[K]>> }
  : never

/** Init is what may be written to make a message: any field may be left out, at any depth. */
export type Init<T> = T extends Scalar | Long | null | undefined
  ? T
  : T extends readonly (infer E)[]
    ? readonly Init<E>[]
    : { readonly [K in keyof T]?: Init<T[K]> | undefined | null }
