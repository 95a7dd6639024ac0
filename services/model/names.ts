import { StatusError } from '../../runtime/errors.ts'

// Swarm's name rules (rows SF-02, SV-03).

const OBJECT_NAME = /^[a-zA-Z0-9](?:[-_]*[A-Za-z0-9])*$/
const PAYLOAD_NAME = /^[a-zA-Z0-9]+(?:[a-zA-Z0-9\-_.]*[a-zA-Z0-9])?$/
const OBJECT_NAME_MAX = 63
const PAYLOAD_NAME_MAX = 64

/**
 * Checks the name of a service, network, volume or container.
 * @throws StatusError InvalidArgument with `place` in front
 */
export function checkObjectName(name: string, place: string): void {
  if (name === '') throw new StatusError('InvalidArgument', `${place}: a name must be given`)
  // A long name is refused before the pattern sees it: it may have been made to be slow.
  if (name.length > OBJECT_NAME_MAX)
    throw new StatusError(
      'InvalidArgument',
      `${place}: name has ${name.length} characters, at most ${OBJECT_NAME_MAX} are allowed`,
    )
  if (!OBJECT_NAME.test(name))
    throw new StatusError(
      'InvalidArgument',
      `${place}: invalid name "${name}": only letters, digits, "-" and "_", starting and ending with a letter or digit`,
    )
}

/**
 * Checks the name of a secret or config.
 * @throws StatusError InvalidArgument with `place` in front
 */
export function checkPayloadName(name: string, place: string): void {
  if (name === '') throw new StatusError('InvalidArgument', `${place}: a name must be given`)
  if (name.length > PAYLOAD_NAME_MAX)
    throw new StatusError(
      'InvalidArgument',
      `${place}: name has ${name.length} characters, at most ${PAYLOAD_NAME_MAX} are allowed`,
    )
  if (!PAYLOAD_NAME.test(name))
    throw new StatusError(
      'InvalidArgument',
      `${place}: invalid name "${name}": only letters, digits, "-", "_" and ".", starting and ending with a letter or digit`,
    )
}
