// Goal: Skein's table and the engine's chain are put right whenever they are not, and flows are cut once.
// Method: a model of nft, iptables and conntrack.
import t from 'tap'
import { Firewall } from '../../../agent/network/firewall.ts'
import { nftTable } from '../../../agent/network/nft.ts'
import { planNetworks } from '../../../agent/network/plan.ts'
import { aState, aTable } from './builders.ts'
import { KernelModel } from './kernel-model.ts'

const tableOf = (...numbers: readonly number[]): string | undefined =>
  nftTable(planNetworks(aState(numbers.map(k => aTable(k, ['h1']))), 1500))

t.test('loads the table once, and again when it or the plan changed', async t => {
  const kernel = new KernelModel()
  const firewall = new Firewall(kernel)
  t.match(await firewall.apply(tableOf(1)), {
    changed: ['table', 'docker-user', 'docker-user'],
    problems: [],
  })
  t.match(kernel.table, '10.1.0.0/24')
  t.strictSame((await firewall.apply(tableOf(1))).changed, [])
  t.strictSame((await firewall.apply(tableOf(1, 2))).changed, ['table'])
  t.match(kernel.table, '10.2.0.0/24')
  kernel.table = kernel.table?.replace('drop', 'accept')
  t.strictSame((await firewall.apply(tableOf(1, 2))).changed, ['table'])
  t.notMatch(kernel.table, '@peers accept')
  kernel.table = undefined
  t.strictSame((await firewall.apply(tableOf(1, 2))).changed, ['table'])
})

t.test('removes the table when the last overlay left, and then asks no more', async t => {
  const kernel = new KernelModel()
  kernel.table = 'left over from an earlier life'
  const firewall = new Firewall(kernel)
  t.strictSame((await firewall.apply(undefined)).changed, ['table'])
  t.equal(kernel.table, undefined)
  const ran = kernel.ran.length
  t.strictSame((await firewall.apply(undefined)).changed, [])
  t.equal(kernel.ran.length, ran)
})

t.test(
  "the engine's chain gets both rules in front; without the chain there is nothing to do",
  async t => {
    const kernel = new KernelModel()
    const firewall = new Firewall(kernel)
    await firewall.apply(tableOf(1))
    t.strictSame(kernel.dockerUser, [
      '-A DOCKER-USER -i ovb+ -o ovb+ -m physdev --physdev-is-bridged -j ACCEPT',
      '-A DOCKER-USER -m connmark --mark 0x4f560000/0xffff0000 -j ACCEPT',
      '-A DOCKER-USER -j RETURN',
    ])
    kernel.dockerUser = []
    t.strictSame((await firewall.apply(tableOf(1))).changed, ['docker-user', 'docker-user'])
    kernel.dockerUser = undefined
    t.strictSame(await firewall.apply(tableOf(1)), { changed: [], problems: [] })
  },
)

t.test('a missing tool is a problem that names it, and the rest is done', async t => {
  const kernel = new KernelModel()
  kernel.missing.add('nft')
  const result = await new Firewall(kernel).apply(tableOf(1))
  t.strictSame(result.problems, ['firewall: nft is not installed on this host'])
  t.strictSame(result.changed, ['docker-user', 'docker-user'])
})

t.test('flows of an address are cut once, unless it came back', async t => {
  const kernel = new KernelModel()
  const firewall = new Firewall(kernel)
  firewall.gone(['10.1.0.2', '10.1.0.3'])
  firewall.returned('10.1.0.3')
  t.strictSame(await firewall.cut(), [])
  t.strictSame(kernel.ran, [
    'conntrack -D --reply-src 10.1.0.2',
    'conntrack -D --orig-dst 10.1.0.2',
  ])
  await firewall.cut()
  t.equal(kernel.ran.length, 2)
  kernel.missing.add('conntrack')
  firewall.gone(['10.1.0.4'])
  t.match(await firewall.cut(), [/were not cut: conntrack is not installed/])
})
