import { below, type Random } from '../../../runtime/random.ts'

/** A copy in random order (Fisher and Yates): clients take the first address, so the order is the balance. */
export function shuffled<T>(items: readonly T[], random: Random): T[] {
  const out = [...items]
  for (let i = out.length - 1; i > 0; i--) {
    const j = below(random, i + 1)
    const [a, b] = [out[i] as T, out[j] as T]
    out[i] = b
    out[j] = a
  }
  return out
}
