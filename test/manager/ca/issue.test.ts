// Goal: certificates say what the manager decided, verify against their own root alone, and only while valid.
// Method: real roots and keys; verification by node:crypto through verifyNodeCertificate, at chosen times.
import t from 'tap'
import { X509Certificate } from 'node:crypto'
import 'reflect-metadata'
import * as x509 from '@peculiar/x509'
import { createKey } from '../../../agent/identity/identity.ts'
import { certificateRequest } from '../../../agent/identity/csr.ts'
import { DEFAULT_VALIDITY_MS, issueCertificate } from '../../../manager/ca/issue.ts'
import { createRoot } from '../../../manager/ca/root.ts'
import { verifyNodeCertificate } from '../../../proto/certificate.ts'
import { seededRandom } from '../../../runtime/random.ts'

const HOUR_MS = 3_600_000
const nowMs = Date.UTC(2030, 0, 1)
const random = seededRandom(7)
const root = await createRoot({ clusterId: 'cluster1', nowMs, random })
const other = await createRoot({ clusterId: 'cluster2', nowMs, random })
const csrPem = certificateRequest(await createKey())
const wanted = {
  csrPem,
  nodeId: 'node1',
  role: 'worker',
  clusterId: 'cluster1',
  nowMs,
  random,
} as const

const check = (pem: string, rootPem: string, atMs = nowMs, clusterId = 'cluster1') =>
  verifyNodeCertificate(new X509Certificate(pem), [new X509Certificate(rootPem)], clusterId, atMs)

t.test('a certificate names node, role and cluster, whatever the request asked for', async t => {
  const keys = await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, [
    'sign',
    'verify',
  ])
  const greedy = await x509.Pkcs10CertificateRequestGenerator.create({
    name: 'CN=root,OU=skein-manager,O=cluster1',
    keys,
    signingAlgorithm: { name: 'ECDSA', hash: 'SHA-256' },
  })
  const issued = await issueCertificate(root, { ...wanted, csrPem: greedy.toString('pem') })
  const certificate = new X509Certificate(issued.certificatePem)
  t.equal(certificate.subject, 'CN=node1\nOU=skein-worker\nO=cluster1')
  t.equal(certificate.subjectAltName, 'DNS:node1, DNS:skein-worker')
  t.equal(certificate.ca, false)
  t.equal(issued.expiresAtMs, nowMs + DEFAULT_VALIDITY_MS)
  t.equal(Date.parse(certificate.validFrom), nowMs - HOUR_MS)
  t.match(check(issued.certificatePem, root.certificatePem), {
    ok: true,
    identity: { nodeId: 'node1', role: 'worker', clusterId: 'cluster1' },
  })
})

t.test('it fails under another root, in another cluster, before and after its time', async t => {
  const { certificatePem: pem, expiresAtMs } = await issueCertificate(root, {
    ...wanted,
    validityMs: HOUR_MS,
  })
  t.match(check(pem, other.certificatePem), { ok: false, reason: /not issued by this cluster/ })
  t.match(check(pem, root.certificatePem, nowMs, 'cluster2'), {
    ok: false,
    reason: /of cluster cluster1/,
  })
  t.match(check(pem, root.certificatePem, expiresAtMs - 1), { ok: true })
  t.match(check(pem, root.certificatePem, expiresAtMs), { ok: false, reason: /expired on/ })
  t.match(check(pem, root.certificatePem, nowMs - 2 * HOUR_MS), {
    ok: false,
    reason: /not valid before/,
  })
})

t.test('a root of the same name but another key certifies nobody', async t => {
  const twin = await createRoot({ clusterId: 'cluster1', nowMs, random })
  const { certificatePem } = await issueCertificate(twin, wanted)
  t.match(check(certificatePem, root.certificatePem), { ok: false })
})

t.test('the root itself is no node', async t => {
  t.match(check(root.certificatePem, root.certificatePem), {
    ok: false,
    reason: /not a node certificate/,
  })
})

t.test('a certificate does not outlive its root', async t => {
  const years = 40 * 365 * 24 * HOUR_MS
  const issued = await issueCertificate(root, { ...wanted, validityMs: years })
  t.equal(issued.expiresAtMs, Date.parse(new X509Certificate(root.certificatePem).validTo))
})

t.test('requests that are unreadable, forged or of another key type are refused', async t => {
  const refused = (csr: string, message: RegExp) =>
    t.rejects(issueCertificate(root, { ...wanted, csrPem: csr }), {
      code: 'InvalidArgument',
      message,
    })
  await refused('hello', /cannot be read/)
  await refused('', /cannot be read/)
  await refused('x'.repeat(20_000), /longer than/)

  const der = Buffer.from(new x509.Pkcs10CertificateRequest(csrPem).rawData)
  der[der.length - 1] = (der[der.length - 1] ?? 0) ^ 1
  await refused(x509.PemConverter.encode(der, 'CERTIFICATE REQUEST'), /not signed by the key/)

  const rsa = await crypto.subtle.generateKey(
    {
      name: 'RSASSA-PKCS1-v1_5',
      modulusLength: 2048,
      publicExponent: new Uint8Array([1, 0, 1]),
      hash: 'SHA-256',
    },
    true,
    ['sign', 'verify'],
  )
  const csr = await x509.Pkcs10CertificateRequestGenerator.create({
    name: 'CN=x',
    keys: rsa,
    signingAlgorithm: { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' },
  })
  await refused(csr.toString('pem'), /takes ECDSA P-256/)
})
