import type { Config, Secret } from '../../proto/index.ts'
import { type Json, metaOf, omitEmpty } from './inspect-meta.ts'

/** A secret in Docker's layout (docker API 2.5), without its data. */
export function secretObject(secret: Secret): Json {
  const { spec } = secret
  return {
    ID: secret.id,
    ...metaOf(secret.meta),
    Spec: {
      Name: spec?.annotations?.name ?? '',
      Labels: spec?.annotations?.labels ?? {},
      ...omitEmpty({
        Driver: spec?.driver && { Name: spec.driver.name, Options: spec.driver.options },
        Templating: spec?.templating && { Name: spec.templating.name },
      }),
    },
  }
}

/** A config in Docker's layout, its data in base64. */
export function configObject(config: Config): Json {
  const { spec } = config
  return {
    ID: config.id,
    ...metaOf(config.meta),
    Spec: {
      Name: spec?.annotations?.name ?? '',
      Labels: spec?.annotations?.labels ?? {},
      Data: Buffer.from(spec?.data ?? []).toString('base64'),
      ...omitEmpty({ Templating: spec?.templating && { Name: spec.templating.name } }),
    },
  }
}
