// Goal: times, sizes, ids and ports print as Docker prints them. Method: tables from go-units and docker service ls.
import t from 'tap'
import { make } from '../../../proto/codec.ts'
import { PublishMode, v1 } from '../../../proto/index.ts'
import { humanDuration, since } from '../../../services/format/duration.ts'
import { shortId } from '../../../services/format/id.ts'
import {
  portText,
  protocolFromName,
  servicePortsText,
  taskPortsText,
} from '../../../services/format/ports.ts'
import { bytesSize, humanSize } from '../../../services/format/size.ts'

const S = 1000
const M = 60 * S
const H = 60 * M
const D = 24 * H

t.test('durations', async t => {
  const table: readonly (readonly [number, string])[] = [
    [450, 'Less than a second'],
    [1 * S, '1 second'],
    [45 * S, '45 seconds'],
    [M, 'About a minute'],
    [3 * M, '3 minutes'],
    [35 * M, '35 minutes'],
    [H, 'About an hour'],
    [H + 45 * M, '2 hours'],
    [3 * H, '3 hours'],
    [D, '24 hours'],
    [D + 12 * H, '36 hours'],
    [2 * D, '2 days'],
    [7 * D, '7 days'],
    [13 * D + 5 * H, '13 days'],
    [14 * D, '2 weeks'],
    [29 * D, '4 weeks'],
    [61 * D, '2 months'],
    [365 * D, '12 months'],
    [730 * D, '2 years'],
  ]
  for (const [ms, text] of table) t.equal(humanDuration(ms), text)
  t.equal(since(1000, 1000 + 2 * M), '2 minutes ago')
  t.equal(since(5000, 1000), 'Less than a second ago')
})

t.test('sizes', async t => {
  t.same([0, 999, 1000, 1024, 1e6, 1048576, 2e6, 3.42e9, 5.372e12].map(humanSize), [
    '0B',
    '999B',
    '1kB',
    '1.024kB',
    '1MB',
    '1.049MB',
    '2MB',
    '3.42GB',
    '5.372TB',
  ])
  t.same([1024, 1048576, 2 ** 30, 3.42 * 2 ** 30, 512 * 2 ** 20, 2087_000_000].map(bytesSize), [
    '1KiB',
    '1MiB',
    '1GiB',
    '3.42GiB',
    '512MiB',
    '1.944GiB',
  ])
})

t.test('ids', async t => {
  t.equal(shortId('sha256:0123456789abcdef'), '0123456789ab')
  t.equal(shortId('4cdnfyip05u2cmohh6y5yb5hs'), '4cdnfyip05u2')
  t.equal(shortId('abc'), 'abc')
})

t.test('ports', async t => {
  const port = (published: number, target: number, rest = {}) =>
    make(v1.Port, { published, target, ...rest })
  t.equal(portText(port(8080, 80)), '*:8080->80/tcp')
  t.equal(portText(port(0, 80)), '*->80/tcp')
  t.equal(portText(port(53, 53, { protocol: 1, hostIp: '10.0.0.1' })), '10.0.0.1:53->53/udp')
  t.equal(
    servicePortsText([
      port(8081, 81),
      port(8080, 80),
      port(53, 53, { protocol: 1 }),
      port(8082, 82),
      port(9000, 90, { mode: PublishMode.HOST }),
    ]),
    '*:8080-8082->80-82/tcp, *:53->53/udp',
  )
  t.equal(taskPortsText([port(9000, 90, { mode: PublishMode.HOST })]), '*:9000->90/tcp')
  t.equal(servicePortsText([]), '')
  t.equal(protocolFromName('UDP'), 1)
  t.equal(protocolFromName('icmp'), undefined)
})
