// The lab's command line: npm run lab -- up 3 · exec h1 docker ps · kill h2 · start h2 · down
import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import { Command, InvalidArgumentError } from 'commander'
import { messageOf } from './errors.ts'
import { hostEnv } from './holder.ts'
import type { Host } from './host.ts'
import { Lab, type LabStatus } from './lab.ts'
import { DEFAULT_LAB } from './layout.ts'

const print = (line: string): void => void process.stdout.write(`${line}\n`)

function program(): Command {
  const root = new Command('lab')
    .description('hosts as network namespaces, each with a real Docker Engine')
    .enablePositionalOptions()
  const command = (usage: string, description: string): Command =>
    root
      .command(usage)
      .description(description)
      .option('--name <lab>', 'name of the lab', DEFAULT_LAB)

  command('up', 'make a lab of N hosts and an outside client hx')
    .argument('<n>', 'number of hosts', parseCount)
    .option('--no-live-restore', 'stop containers with their engine (Docker Swarm demands it)')
    .option('--no-images', 'load no test images')
    .option('--subnet <a.b.c>', "first three bytes of the hosts' /24")
    .action(async (hosts: number, { name, liveRestore, images, subnet }) => {
      const started = performance.now()
      const lab = await Lab.up({ hosts, name, liveRestore, images, subnet, log: print })
      print(`lab ${lab.name} is up after ${((performance.now() - started) / 1000).toFixed(1)} s`)
    })
  command('down', 'end the lab and remove all it made').action(async ({ name }) => {
    await (await Lab.attach(name)).down()
  })
  command('status', 'show the hosts')
    .option('--json', 'as JSON')
    .action(async ({ name, json }) => {
      const status = await (await Lab.attach(name)).status()
      print(json ? JSON.stringify(status, undefined, 2) : table(status))
    })
  command('exec', 'run a command in a host')
    .argument('<host>')
    .argument('<command...>')
    .passThroughOptions()
    .action(async (host: string, argv: string[], { name }) => {
      process.exitCode = await execute((await Lab.attach(name)).host(host), argv)
    })
  command('kill', 'cut the power of a host: cable dead, every process killed')
    .argument('<host>')
    .action(async (host: string, { name }) => (await Lab.attach(name)).host(host).kill())
  command('start', 'power a host on again')
    .argument('<host>')
    .action(async (host: string, { name }) => (await Lab.attach(name)).host(host).start())
  command('partition', 'drop all traffic between two hosts, or between one and all others')
    .argument('<a>')
    .argument('[b]')
    .action(async (a: string, b: string | undefined, { name }) =>
      (await Lab.attach(name)).partition(a, b),
    )
  command('heal', 'end all partitions').action(async ({ name }) => (await Lab.attach(name)).heal())
  command('images', 'load the test images into every host').action(async ({ name }) =>
    (await Lab.attach(name)).loadImages(print),
  )
  return root
}

function parseCount(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError('a whole number of hosts is needed')
  return Number(text)
}

/** Runs a command with this terminal as its own. @returns its exit code, 128 + signal if killed */
function execute(host: Host, argv: readonly string[]): Promise<number> {
  const [file, ...args] = host.command(argv)
  return new Promise((resolve, reject) => {
    const child = spawn(file as string, args, { stdio: 'inherit', env: hostEnv() })
    child.on('error', reject)
    child.on('exit', (code, signal) => {
      resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal]))
    })
  })
}

function table(status: LabStatus): string {
  const rows = status.hosts.map(h => [
    h.name,
    h.address,
    h.power,
    h.engine,
    String(h.processes),
    `${Math.round(h.residentBytes / 2 ** 20)} MiB`,
  ])
  const lines = [['HOST', 'ADDRESS', 'POWER', 'ENGINE', 'PROCESSES', 'RESIDENT'], ...rows].map(
    row =>
      row
        .map(cell => cell.padEnd(15))
        .join('')
        .trimEnd(),
  )
  const cuts = status.partitions.map(
    ({ a, b, oneWay }) => `partition: ${a} ${oneWay ? '->' : '|'} ${b ?? 'all others'}`,
  )
  return [`lab ${status.name} in ${status.dir}`, ...lines, ...cuts].join('\n')
}

try {
  await program().parseAsync()
} catch (error) {
  process.stderr.write(`lab: ${messageOf(error)}\n`)
  process.exitCode = 1
}
