import type { IConversionOptions } from 'protobufjs'
import type { Init, Plain } from './plain.ts'

/** What pbjs's static classes offer, as far as the codec needs it. */
export interface MessageType {
  encode(message: never): { finish(): Uint8Array }
  decode(bytes: Uint8Array): unknown
  toObject(message: never, options: IConversionOptions): unknown
}

/** The plain object a generated class decodes to. */
export type PlainOf<C> = C extends {
  create: { (properties: infer S): unknown; (_?: infer _P): unknown }
}
  ? Plain<S>
  : never

/** What may be given to make one. */
export type InitOf<C> = C extends {
  create: { (properties: infer S): unknown; (_?: infer _P): unknown }
}
  ? Init<S>
  : never

const PLAIN: IConversionOptions = {
  defaults: true,
  arrays: true,
  objects: true,
  oneofs: true,
  longs: Number,
}

/** Turns wire bytes into immutable plain objects and back. 64-bit fields are exact up to 2^53-1. */
export interface Codec<P> {
  encode(value: P): Uint8Array
  decode(bytes: Uint8Array): P
}

/**
 * The codec of a generated class, e.g. `codec(v1.Task)`.
 * decode() throws protobufjs' RangeError or Error on malformed bytes.
 */
export function codec<C extends MessageType>(type: C): Codec<PlainOf<C>> {
  return {
    encode: value => type.encode(value as never).finish(),
    decode: bytes => type.toObject(type.decode(bytes) as never, PLAIN) as PlainOf<C>,
  }
}

/** Completes `init` with defaults: `make(v1.Task, { id })` has every field that decode() would give. */
export function make<C extends MessageType>(type: C, init: InitOf<C>): PlainOf<C> {
  return type.toObject(init as never, PLAIN) as PlainOf<C>
}
