import type { Host, Lab } from '../lab/lab.ts'

/** A cluster manager on a lab, as the benchmark drives it. All hosts are managers. */
export interface System {
  readonly name: string
  /** Makes a cluster of all hosts. */
  up(lab: Lab): Promise<void>
  /** Declares a service of the test image with no network; returns once the cluster has accepted it. */
  create(service: string, replicas: number): Promise<void>
  remove(service: string): Promise<void>
  /** The label=value that containers of a service carry. */
  label(service: string): string
  leader(): Promise<Host>
  /** SIGKILLs the process on the host that takes part in the cluster's consensus. */
  killManager(host: Host): Promise<void>
  /** One small durable write, asked of the manager on `via`. */
  write(via: Host, name: string): Promise<void>
}

/** What every service of the benchmark runs. */
export const IMAGE = 'skein/tools:1'
export const COMMAND = ['sleep', '100000']
