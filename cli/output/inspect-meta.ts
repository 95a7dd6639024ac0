import type { Meta } from '../../proto/index.ts'

// Docker's JSON (moby api/types/swarm): CamelCase, RFC 3339 times, durations in nanoseconds, zero values left out.

const NS_PER_MS = 1_000_000

export type Json = Readonly<Record<string, unknown>>

/** `Version`, `CreatedAt`, `UpdatedAt` of an object. */
export function metaOf(meta: Meta | null): Json {
  return {
    Version: { Index: meta?.version ?? 0 },
    CreatedAt: timestamp(meta?.createdAtMs ?? 0),
    UpdatedAt: timestamp(meta?.updatedAtMs ?? 0),
  }
}

/** RFC 3339 in UTC; Go's zero time for 0. */
export function timestamp(ms: number): string {
  return ms === 0 ? '0001-01-01T00:00:00Z' : new Date(ms).toISOString()
}

export function nanoseconds(ms: number): number {
  return ms * NS_PER_MS
}

/** Without keys that are undefined, empty, zero or false: Go's omitempty. */
export function omitEmpty(json: Json): Record<string, unknown> {
  return Object.fromEntries(Object.entries(json).filter(([, value]) => !isEmpty(value)))
}

function isEmpty(value: unknown): boolean {
  if (value === undefined || value === null || value === '' || value === 0 || value === false) {
    return true
  }
  if (Array.isArray(value)) return value.length === 0
  return typeof value === 'object' && Object.keys(value).length === 0
}
