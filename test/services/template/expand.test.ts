// Goal: task templates (row EX-19) give each task its own values, and a mistake names its field.
// Method: one task on one node; every field Swarm expands, every field it does not.
import t from 'tap'
import { make } from '../../../proto/codec.ts'
import { v1 } from '../../../proto/index.ts'
import {
  addressFor,
  checkTemplate,
  expandPayload,
  expandTask,
} from '../../../services/template/expand.ts'

const node = make(v1.Node, {
  id: 'n1',
  description: { hostname: 'alpha', platform: { os: 'linux', architecture: 'x86_64' } },
})
const task = make(v1.Task, {
  id: 't9',
  slot: 2,
  nodeId: 'n1',
  serviceId: 's1',
  serviceName: 'web',
  serviceLabels: { tier: 'front' },
  spec: {
    container: {
      image: 'x:{{.Task.Slot}}',
      hostname: '{{.Service.Name}}-{{.Task.Slot}}-{{.Node.Hostname}}',
      env: [
        'A={{.Node.ID}}/{{.Task.Name}}',
        'B={{index .Service.Labels "tier"}}{{index .Service.Labels "none"}}',
        'C={{.Node.Platform.OS}}/{{.Node.Platform.Architecture}}={{add 10 .Task.Slot}}',
        'D',
        'E={{join "-" .Service.ID .Task.ID}}',
      ],
      labels: { rule: '{{literal}}' },
      mounts: [
        {
          source: 'data-{{.Task.Slot}}',
          target: '/d/{{.Task.ID}}',
          volumeLabels: { s: '{{.Service.Name}}' },
        },
      ],
    },
  },
})

t.test('every field has the values of its task', async t => {
  const { container } = expandTask(task, node)
  t.equal(container?.hostname, 'web-2-alpha')
  t.same(container?.env, ['A=n1/web.2.t9', 'B=front', 'C=linux/x86_64=12', 'D', 'E=s1-t9'])
  t.match(container?.mounts, [{ source: 'data-2', target: '/d/t9', volumeLabels: { s: 'web' } }])
  t.same(
    container?.labels,
    { rule: '{{literal}}' },
    'container labels stay as written, as in Swarm',
  )
  t.equal(container?.image, 'x:{{.Task.Slot}}')
})

t.test('a global task has its node for a slot', async t => {
  const global = make(v1.Task, {
    nodeId: 'n1',
    serviceName: 'web',
    spec: { container: { hostname: '{{.Service.Name}}-{{.Task.Slot}}-{{.Node.Hostname}}' } },
  })
  t.equal(expandTask(global, node).container?.hostname, 'web-n1-alpha')
})

t.test('a mistake names the field', async t => {
  const bad = make(v1.Task, { id: 't', spec: { container: { env: ['KEY={{.Node.Nope}}'] } } })
  t.throws(() => expandTask(bad, node), {
    code: 'InvalidArgument',
    message:
      'expanding env KEY failed: template: expansion:1:7: executing "expansion" at <.Node.Nope>: map has no entry for key "Nope"',
  })
  t.throws(() => checkTemplate('{{nope}}'), {
    message: 'template: expansion:1: function "nope" not defined',
  })
  t.throws(() => checkTemplate('{{secret "x"}}'), { message: 'function "secret" not defined' })
  t.doesNotThrow(() => checkTemplate('{{secret "x"}}', 'payload'))
})

t.test('payloads see environment, secrets and configs of the same task', async t => {
  const sources = {
    secret: (target: string) => (target === 'pw' ? 'hunter{{2}}' : undefined),
    config: (target: string) => (target === 'c' ? 'conf' : undefined),
  }
  t.equal(
    expandPayload(
      'cfg',
      '{{.Service.Name}} {{env "D2"}} {{env "A"}} {{secret "pw"}} {{config "c"}}',
      task,
      node,
      sources,
    ),
    'web  n1/web.2.t9 hunter{{2}} conf',
  )
  t.throws(() => expandPayload('cfg', '{{secret "no"}}', task, node, sources), {
    message:
      'expanding cfg failed: template: expansion:1:2: executing "expansion" at <secret "no">: error calling secret: secret target no not found',
  })
})

t.test('addresses are by slot', async t => {
  const attachment = make(v1.NetworkAttachmentSpec, {
    addresses: ['172.38.0.11', '', '172.38.0.13'],
  })
  t.same(
    [0, 1, 2, 3, 4].map(slot => addressFor(attachment, slot)),
    [undefined, '172.38.0.11', undefined, '172.38.0.13', undefined],
  )
  const templated = make(v1.NetworkAttachmentSpec, { addresses: ['172.38.0.1{{.Task.Slot}}'] })
  t.same(
    [1, 6].map(slot => addressFor(templated, slot)),
    ['172.38.0.11', '172.38.0.16'],
  )
})
