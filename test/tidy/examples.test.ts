// Goal: what is shipped beside the program works as it stands: examples, Prometheus, systemd, the package.
// Method: read each file as its consumer does; run the shell's own check on scripts.
import t from 'tap'
import { spawnSync } from 'node:child_process'
import { readFileSync, readdirSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { parse } from 'yaml'
import { make } from '../../proto/codec.ts'
import { v1 } from '../../proto/index.ts'
import { parseCompose } from '../../services/compose/parse.ts'
import type { Declared } from '../../services/compose/stack.ts'
import { withDefaults } from '../../services/spec/defaults.ts'
import {
  validateConfig,
  validateNetwork,
  validateSecret,
  validateService,
} from '../../services/spec/validate.ts'

const root = resolve(import.meta.dirname, '../..')
const deploy = join(root, 'deploy')
const read = (...path: string[]): string => readFileSync(join(deploy, ...path), 'utf8')

/** The specs of what a stack makes itself. */
function own<S>(declared: ReadonlyMap<string, Declared<S>>): S[] {
  return [...declared.values()].flatMap(item => (item.external ? [] : [item.spec]))
}

interface ScrapeConfig {
  readonly job_name: string
  readonly metrics_path?: string
  readonly http_sd_configs: readonly { readonly url: string }[]
}

const examples = readdirSync(join(deploy, 'examples'), { recursive: true, encoding: 'utf8' })

t.test('every example is a stack that a cluster would take, without a warning', async t => {
  const files = examples.filter(file => /\.ya?ml$/.test(file))
  t.ok(files.length > 0)
  for (const file of files) {
    const path = join(deploy, 'examples', file)
    const stack = parseCompose(readFileSync(path, 'utf8'), {
      fileName: path,
      directory: dirname(path),
      env: {},
      readFile: name => readFileSync(name),
      ...(/^name:/m.test(readFileSync(path, 'utf8')) ? {} : { projectName: 'example' }),
    })
    t.same(stack.warnings, [], file)
    t.ok(stack.services.size > 0, file)
    for (const [name, spec] of stack.services)
      t.doesNotThrow(() => validateService(withDefaults(spec)), `${file}: ${name}`)
    for (const spec of own(stack.networks)) validateNetwork(make(v1.NetworkSpec, spec))
    for (const spec of own(stack.secrets)) validateSecret(make(v1.SecretSpec, spec))
    for (const spec of own(stack.configs)) validateConfig(make(v1.ConfigSpec, spec))
  }
})

t.test('its scripts are of the shell they name', async t => {
  const scripts = [
    ...examples.filter(file => file.endsWith('.sh')).map(file => join('examples', file)),
    'demo',
  ]
  t.ok(scripts.length > 1)
  for (const script of scripts) {
    const shell = /^#!.*\bbash\b/.test(read(script)) ? 'bash' : 'sh'
    const { status, stderr } = spawnSync(shell, ['-n', join(deploy, script)], { encoding: 'utf8' })
    t.equal(status, 0, `${script}: ${stderr}`)
  }
})

t.test('Prometheus is told of managers alone; no target is written by hand', async t => {
  const config = parse(read('prometheus', 'prometheus.yml')) as {
    scrape_configs: readonly ScrapeConfig[]
  }
  t.ok(config.scrape_configs.length > 0)
  for (const job of config.scrape_configs) {
    const ways = Object.keys(job).filter(key => /_sd_configs$|^static_configs$/.test(key))
    t.same(ways, ['http_sd_configs'], job.job_name)
    for (const { url } of job.http_sd_configs) t.equal(new URL(url).pathname, '/sd/prometheus')
  }
  t.same(
    config.scrape_configs.map(job => job.metrics_path ?? '/metrics'),
    ['/metrics', '/metrics/cluster'],
  )
})

t.test('the unit restarts the daemon and leaves containers alone', async t => {
  const unit = new Map<string, string>()
  let section = ''
  for (const line of read('systemd', 'skein.service').split('\n')) {
    const [, name] = /^\[(\w+)\]$/.exec(line) ?? []
    const [, key, value] = /^(\w+)=(.*)$/.exec(line) ?? []
    if (name !== undefined) section = name
    else if (key !== undefined) unit.set(`${section}.${key}`, value ?? '')
    else t.match(line, /^(#.*)?$/, 'a section, a key or a comment')
  }
  t.match(unit.get('Unit.After'), /\bdocker\.service\b/)
  t.match(unit.get('Unit.After'), /\bnetwork-online\.target\b/)
  t.match(Object.fromEntries(unit), {
    'Service.Type': 'exec',
    'Service.ExecStart': /\bskein daemon$/,
    'Service.Restart': 'always',
    'Service.StateDirectory': 'skein',
    'Service.RuntimeDirectory': 'skein',
    'Service.RuntimeDirectoryPreserve': 'yes',
    'Service.KillMode': 'process',
    'Install.WantedBy': 'multi-user.target',
  })
  t.ok(Number(unit.get('Service.LimitNOFILE')) >= 65_536)
})

t.test('the package holds the program and what is shipped with it', async t => {
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    bin: Record<string, string>
    files: readonly string[]
    bundleDependencies: readonly string[]
  }
  t.same(manifest.bin, { skein: 'deploy/skein' })
  for (const part of ['dist', 'deploy']) t.ok(manifest.files.includes(part), part)
  t.ok(manifest.bundleDependencies.includes('raft-ts'), 'nobody owns its name on npm')
  t.match(read('skein'), /^#!\/bin\/sh\n/)
})
