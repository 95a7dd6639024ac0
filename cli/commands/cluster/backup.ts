import { Command } from 'commander'
import { type BackupHeader, readBackup } from '../../../proto/backup-file.ts'
import type { Context } from '../../context.ts'
import { bytesText } from '../../output/pretty.ts'

/** `cluster backup`: the whole state of the cluster into a file, while everything goes on. */
export function command(context: Context): Command {
  return new Command('backup')
    .description(
      'Write the state of the cluster into a file; it holds all secrets and the key of the CA',
    )
    .argument('<file>', 'where to; replaced when it exists, readable by its owner alone')
    .option('--stale', 'take what this manager has, without a leader: before skein cluster recover')
    .action(async (file: string, flags: { readonly stale?: boolean }) => {
      const api = await context.connect()
      let taken: { header: BackupHeader; size: number } | undefined
      const checked = async function* (): AsyncGenerator<Uint8Array, void, undefined> {
        const chunks: Uint8Array[] = []
        for await (const { data } of api.backup(
          { stale: flags.stale ?? false },
          context.interrupt,
        )) {
          chunks.push(data)
          yield data
        }
        context.interrupt.throwIfAborted()
        // Before the file gets its name: what arrived is what the manager sent.
        const bytes = Buffer.concat(chunks)
        taken = { header: readBackup(bytes).header, size: bytes.length }
      }
      await context.writePrivateFile(file, checked())
      if (taken === undefined) return
      const { header, size } = taken
      context.stdout.write(
        `Cluster ${header.clusterName} (${header.clusterId}) as of index ${header.index} is in ${file}, ${bytesText(size)}.\n` +
          'It holds every secret and the key of the CA: keep it as you keep those.\n',
      )
    })
}
