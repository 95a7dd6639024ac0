/** Ids below are left to Swarm and to people. */
export const VNI_MIN = 4097
export const VNI_MAX = 2 ** 24 - 1

/**
 * The first free id from `next` on, wrapping round once, and where to look next time (row AL-04): an id that was given
 * back is not given out again until all others were. Undefined when all are in use.
 */
export function takeVni(
  next: number,
  used: ReadonlySet<number>,
): { readonly vni: number; readonly next: number } | undefined {
  if (used.size > VNI_MAX - VNI_MIN) return undefined
  let vni = Math.min(Math.max(next, VNI_MIN), VNI_MAX)
  while (used.has(vni)) vni = vni >= VNI_MAX ? VNI_MIN : vni + 1
  return { vni, next: vni >= VNI_MAX ? VNI_MIN : vni + 1 }
}
