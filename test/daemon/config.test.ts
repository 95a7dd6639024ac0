// Goal: an option means the same from a file, the environment and a flag, and a mistake names its place.
// Method: resolve small configurations; compare messages.
import t from 'tap'
import { parse } from 'yaml'
import { resolveConfig, splitAddress, type ConfigFile } from '../../daemon/config.ts'

const file = (text: string): ConfigFile => ({ name: 'skein.yml', content: parse(text) })

t.test(
  'flags win over the environment, the environment over the file, the file over defaults',
  async t => {
    const yaml = file('data-dir: /file\nlisten: 0.0.0.0:1\nlog-level: debug')
    const config = resolveConfig(
      { dataDir: '/flag' },
      { SKEIN_DATA_DIR: '/env', SKEIN_LISTEN: '0.0.0.0:2' },
      yaml,
    )
    t.match(config, {
      dataDir: '/flag',
      listen: '0.0.0.0:2',
      logLevel: 'debug',
      runDir: '/run/skein',
    })
  },
)

t.test('an unknown key, a bad number and a bad level name where they stand', async t => {
  t.throws(() => resolveConfig({}, {}, file('data_dri: /x')), {
    message: /skein.yml: data_dri: unknown option; known are data-dir/,
  })
  t.throws(() => resolveConfig({}, { SKEIN_ELECTION_TIMEOUT_MS: 'soon' }, undefined), {
    message: /SKEIN_ELECTION_TIMEOUT_MS: expected a positive number, got "soon"/,
  })
  t.throws(() => resolveConfig({}, {}, file('log-level: loud')), {
    message: /expected one of debug/,
  })
  t.throws(() => resolveConfig({}, {}, file('- a list')), { message: /expected a mapping/ })
})

t.test('addresses are split strictly', async t => {
  t.same(splitAddress('10.0.0.1:2377'), { host: '10.0.0.1', port: 2377 })
  t.same(splitAddress('[::1]:80'), { host: '::1', port: 80 })
  for (const bad of ['10.0.0.1', ':80', 'a:99999', 'a:b'])
    t.throws(() => splitAddress(bad), { code: 'InvalidArgument' })
})
