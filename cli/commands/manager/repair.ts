import { Command } from 'commander'
import { Failure } from '../../failure.ts'

/** `manager repair` stands in the tree for its help. It works on the daemon's files, so the launcher runs the daemon's program. */
export function command(): Command {
  return new Command('repair')
    .description("Salvage this manager's damaged log while its daemon is stopped")
    .helpOption(false)
    .allowUnknownOption()
    .allowExcessArguments()
    .action(() => {
      throw new Failure('manager repair runs without global options', {
        next: ['skein manager repair --help'],
      })
    })
}
