import { Command } from 'commander'
import type { Context } from '../../context.ts'
import { Failure } from '../../failure.ts'
import { collect } from '../../filters.ts'
import { pairs } from '../../flags/values.ts'

interface CreateFlags {
  readonly label?: readonly string[]
  readonly templateDriver?: string
}

/** `secret create NAME FILE`: `-` reads standard input. At most 500 KiB. */
export function command(context: Context): Command {
  return new Command('create')
    .description('Create a secret from a file, or from standard input with -')
    .argument('<name>')
    .argument('<file|->')
    .option('-l, --label <k=v>', 'label (repeatable)', collect)
    .option('--template-driver <driver>', 'golang: expanded for each task')
    .action(async (name: string, file: string, flags: CreateFlags) => {
      const data = await context.readFile(file)
      const api = await context.connect()
      const { secret } = await api.control.createSecret({
        spec: {
          annotations: { name, labels: pairs('--label', flags.label) },
          data,
          ...(flags.templateDriver === undefined
            ? {}
            : { templating: { name: flags.templateDriver } }),
        },
      })
      if (secret === null) throw new Failure('the manager answered without a secret')
      context.stdout.write(`${secret.id}\n`)
    })
}
