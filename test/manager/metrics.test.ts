// Goal: the cluster's state is told as gauges that follow the store, and loops count what they do.
// Method: a small world, collected twice around a change; the text as a scraper would read it.
import t from 'tap'
import { Registry } from 'prom-client'
import { collectClusterMetrics } from '../../manager/cluster-metrics.ts'
import { aNetwork, aService, aTaskSpec, SECOND, World } from './world.ts'

t.test('services, nodes and networks', async t => {
  const w = new World()
  await w.start(['n1', 'n2', 'n3'])
  t.teardown(() => w.stop())
  await w.store.update(tx => tx.create('network', aNetwork('back')))
  const service = await w.create(
    aService('web', {
      replicated: { replicas: 3 },
      task: aTaskSpec({ networks: [{ target: 'network-back' }] }),
    }),
  )
  await w.until(() => w.running(service.id).length === 3, 2 * SECOND)
  const registry = new Registry()
  const scrape = async (): Promise<string> => {
    collectClusterMetrics(registry, w.store)
    return registry.metrics()
  }
  const before = await scrape()
  for (const line of [
    'skein_service_replicas_desired{service="web"} 3',
    'skein_service_replicas_running{service="web"} 3',
    'skein_service_tasks_running{service="web"} 3',
    'skein_service_tasks{service="web",state="running"} 3',
    'skein_service_tasks{service="web",state="failed"} 0',
    'skein_node_status{node="n1",status="ready"} 1',
    'skein_node_status{node="n1",status="down"} 0',
    'skein_network_addresses_capacity{network="back"} 254',
    'skein_network_addresses_used{network="back"} 6',
    'skein_service_update_state{service="web",state="none"} 1',
  ])
    t.ok(before.includes(`\n${line}\n`), line)
  t.match(
    before,
    /skein_service_info\{service="web",service_id="\w{25}",stack="",mode="replicated",image="web:1"\} 1/,
  )
  w.agent('n1').cut()
  await w.run(100)
  const during = await scrape()
  t.ok(
    during.includes('skein_service_replicas_running{service="web"} 2'),
    'a task on a suspect node is not counted',
  )
  await w.store.update(tx => tx.delete('service', service.id))
  await w.run(100)
  t.notOk((await scrape()).includes('service="web",service_id'), 'what is gone has no series')
  const own = await w.registry.metrics()
  t.match(own, /skein_scheduler_attempts_total\{result="placed"\} 3/)
  t.match(own, /skein_dispatcher_assignments_total\{type="complete"\} 3/)
})
