import { StatusError, messageOf } from '../../runtime/errors.ts'
import { checkTemplate } from '../template/expand.ts'

/** Refuses a spec: `service web: task.container.image: …`. */
export type Fail = (path: string, problem: string) => never

/** A Fail that names the object in front of the field. */
export function failFor(what: string): Fail {
  return (path, problem) => {
    throw new StatusError('InvalidArgument', `${what}: ${path}: ${problem}`)
  }
}

/** Runs a check that throws in its own words, and puts the field in front of them. */
export function within(fail: Fail, path: string, check: () => void): void {
  try {
    check()
  } catch (error) {
    fail(path, messageOf(error))
  }
}

export function checkTemplated(text: string, path: string, fail: Fail): void {
  within(fail, path, () => checkTemplate(text))
}

export function checkAtLeastZero(value: number, path: string, fail: Fail): void {
  if (!(value >= 0)) fail(path, `must not be negative, is ${value}`)
}

/** Labels, options and the like: no empty key. */
export function checkKeys(map: Readonly<Record<string, string>>, path: string, fail: Fail): void {
  if (Object.hasOwn(map, '')) fail(path, 'has an entry without a key')
}

/** Loose on purpose: the engine has the last word on IPv6. */
export function isIpv6(text: string): boolean {
  return text.length <= 45 && text.includes(':') && /^[0-9a-fA-F:.]+$/.test(text)
}
