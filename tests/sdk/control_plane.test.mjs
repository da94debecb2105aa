// The published client, unchanged but for its baseUrl, against a running daemon: every call of the control plane. Needs
// COFFER_URL, COFFER_CLIENT_ID and COFFER_CLIENT_SECRET; tests/sdk/test_sdk.py starts it with those of a daemon.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

const { COFFER_URL: url, COFFER_CLIENT_ID: clientId, COFFER_CLIENT_SECRET: clientSecret } = process.env;
const skip = url ? false : 'COFFER_URL names no daemon';
const { install, named, settled } = await import('./call_report.mjs');
const { default: Oblien } = await import('oblien');

let client;
let id;

const refused = (promise, code = 'not_supported', status = 501) =>
  assert.rejects(promise, (error) => {
    assert.equal(error.code, code, error.message);
    assert.equal(error.status, status);
    assert.ok(error.message.length > 0 && error.requestId);
    return true;
  });

// The first events of a stream, which is then left.
async function first(stream, count = 1) {
  const got = [];
  for await (const event of stream) {
    got.push(event);
    if (got.length >= count) break;
  }
  return got;
}

before(async () => {
  if (skip) return;
  install({ origins: [url] });
  client = named(new Oblien({ clientId, clientSecret, baseUrl: url }));
  const workspace = await client.workspaces.create({
    name: 'sdk', slug: 'sdk-box', image: 'minimal', mode: 'permanent', cpus: 1, memory_mb: 256,
    config: { env: ['A=1', { key: 'B', value: '2' }], allow_internet: true, cmd: 'echo its own command; sleep 100000' },
    idempotency_key: 'sdk-1',
  });
  id = workspace.id;
  assert.equal(workspace.ready, true);
});
after(async () => {
  if (skip) return;
  if (id) await client.workspaces.delete(id);
  await settled();
});

test('workspaces: list, get, update, details', { skip }, async () => {
  const { workspaces } = client;
  const again = await workspaces.create({ name: 'sdk', image: 'minimal', idempotency_key: 'sdk-1' });
  assert.equal(again.id, id);
  const listed = await workspaces.list({ page: 1, limit: 10 });
  assert.ok(listed.workspaces.some((workspace) => workspace.id === id) && listed.total >= 1);
  assert.equal((await workspaces.get('sdk-box')).id, id);
  assert.equal((await workspaces.update(id, { name: 'renamed', logo: 'rocket' })).name, 'renamed');
  const details = await workspaces.getDetails(id);
  assert.equal(details.workspace.id, id);
  assert.equal((await workspaces.waitUntilReady(id)).id, id);
  assert.equal((await workspaces.retryCreation(id)).id, id);
  await refused(workspaces.get('nobody'), 'not_found', 404);
  assert.ok((await workspaces.getQuota()).canCreate);
  assert.equal((await workspaces.getEstimate({ cpu: 1 })).estimate.max, 730);
  assert.ok((await workspaces.images.list()).images.some(({ image }) => image === 'minimal'));
});

test('lifecycle, resources, metadata', { skip }, async () => {
  const { lifecycle, resources, metadata } = client.workspaces;
  assert.equal((await lifecycle.get(id)).mode, 'permanent');
  await lifecycle.makeTemporary(id, { ttl: '30m' });
  assert.equal((await lifecycle.get(id)).mode, 'temporary');
  await lifecycle.makePermanent(id, { restart_policy: 'never' });
  await lifecycle.updateTtl(id, { ttl: '1h', ttl_action: 'stop' });
  assert.equal((await lifecycle.setIdle(id, { suspend_after: 3600 })).idle.suspend_after, 3600);
  assert.equal((await lifecycle.setIdle(id, null)).idle, null);
  await lifecycle.ping(id, { ttl_seconds: 3600 });
  await client.workspaces.ping(id);
  assert.equal((await resources.get(id)).resources.memory_mb, 256);
  assert.deepEqual((await resources.update(id, { memory_mb: 320 })).updated, { memory_mb: 320 });
  await resources.patch(id, { cpus: 1 });
  await metadata.update(id, { metadata: { a: '1' } });
  await metadata.patch(id, { metadata: { b: '2' } });
  const kept = await metadata.get(id);
  assert.equal(kept.metadata.b, '2');
});

test('metrics, logs and usage', { skip }, async () => {
  const { metrics, logs, usage } = client.workspaces;
  assert.ok((await metrics.stats(id)).stats.guestMemoryTotal > 0);
  assert.ok((await first(metrics.statsStream(id)))[0].stats);
  await metrics.info(id);
  await metrics.config(id);
  assert.ok(Array.isArray((await logs.get(id, { source: 'boot' })).logs));
  const files = await logs.listFiles(id);
  assert.ok(files.length >= 1);
  assert.equal(typeof (await logs.getFile(id, files[0].name)).content, 'string');
  assert.ok((await first(logs.streamBoot(id, { tail_lines: 1 })))[0].message);
  assert.equal((await first(logs.streamCmd(id, { tail_lines: 5 })))[0].message, 'its own command');
  await logs.clear(id);
  await usage.get(id);
  await usage.totals(id);
  await usage.creditsChart(id);
  assert.ok((await usage.global()).usage);
  await usage.activity();
  assert.equal((await usage.stopTracking(id)).tracking, false);
  assert.equal((await usage.startTracking(id)).tracking, true);
  assert.ok((await usage.wipe(id)).success);
});

test('workloads', { skip }, async () => {
  const { workloads } = client.workspaces;
  const made = await workloads.create(id, {
    name: 'app', cmd: ['sh', '-c', 'while true; do echo tick; sleep 1; done'], restart_policy: 'always',
  });
  assert.deepEqual((await workloads.list(id)).map(({ name }) => name), ['cmd', 'app']);
  assert.equal((await workloads.get(id, 'app')).id, made.id);
  assert.match((await first(workloads.logsStream(id, made.id)))[0].message, /tick/);
  assert.match((await workloads.logs(id, made.id)).logs, /stdout: tick/);
  assert.equal((await first(workloads.statsStream(id, made.id), 2))[0].type, 'subscribed');
  assert.equal((await first(workloads.allStatsStream(id)))[0].vm_id, id);
  await workloads.stats(id, made.id);
  await workloads.status(id, made.id);
  await workloads.update(id, made.id, { max_restarts: 3 });
  await workloads.patch(id, made.id, { labels: { a: 'b' } });
  await workloads.stop(id, made.id);
  await workloads.start(id, made.id);
  await workloads.delete(id, made.id);
  await workloads.deleteAll(id);
  assert.equal((await workloads.list(id)).length, 0);
});

test('power', { skip }, async () => {
  const { workspaces } = client;
  await workspaces.pause(id);
  await workspaces.resume(id);
  await workspaces.restart(id);
  await workspaces.stop(id);
  await workspaces.start(id);
  assert.equal((await workspaces.get(id)).status, 'running');
});

test('network, and what this host has not', { skip }, async () => {
  const { network, publicAccess, domains, ssh, desktop } = client.workspaces;
  assert.equal((await network.get(id)).allow_internet, true);  // as it was created
  await network.update(id, { allow_internet: false });
  await network.clearCustomProxy(id);
  const opened = await network.update(id, { egress: ['pypi.org', '*.debian.org:80'] });
  assert.deepEqual(opened.egress, ['pypi.org', '*.debian.org:80']);
  assert.equal((await network.update(id, { allow_internet: true, egress: [] })).allow_internet, true);
  assert.deepEqual((await network.update(id, { allow_internet: false })).egress, []);
  await refused(network.applyOutboundIp(id, '192.0.2.1'));
  await network.setCustomProxy(id, { host: 'proxy.example', port: 3128, username: 'me', password: 'word' });
  const proxied = await network.get(id);
  assert.equal(proxied.outbound_mode, 'custom');
  assert.equal(proxied.outbound_proxy.has_credentials, true);
  assert.ok(!JSON.stringify(proxied).includes('word'));
  await refused(network.setCustomProxy(id, { host: 'h', port: 1 }), 'validation_error', 422);
  await network.clearCustomProxy(id);
  assert.equal((await network.get(id)).outbound_mode, 'managed');
  assert.deepEqual(await publicAccess.list(id), []);
  const port = await publicAccess.expose(id, { port: 8080, label: 'web' });
  assert.equal(port.port, 8080);
  assert.match(port.url, /preview/);
  assert.equal((await publicAccess.updateSlug(id, 8080, { slug: 'sdk-web' })).slug, 'sdk-web');
  await publicAccess.revoke(id, 8080);
  assert.deepEqual(await publicAccess.list(id), []);
  await refused(domains.get(id));
  await refused(domains.connect(id, { domain: 'a.example' }));
  await refused(domains.disconnect(id));
  await refused(domains.checkDNS(id, { domain: 'a.example' }));
  await refused(domains.renewSSL(id));
  await refused(ssh.status(id));
  await refused(ssh.enable(id));
  await refused(ssh.disable(id));
  await refused(ssh.setPassword(id, { password: 'x' }));
  await refused(ssh.setKey(id, { public_key: 'x' }));
  await refused(desktop.install(id));
  await refused(desktop.installation(id));
  await refused(desktop.sshConnection(id));
});

test('snapshots and archives', { skip }, async () => {
  const { snapshots } = client.workspaces;
  await snapshots.create(id, { after: 'resume' });
  await snapshots.restore(id);
  const paths = { vm_paths: ['/etc/passwd'] };
  const { archive } = await snapshots.createArchive(id, paths);
  assert.deepEqual((await snapshots.listArchives(id)).map(({ version }) => version), [archive.version]);
  assert.equal((await snapshots.getArchive(id, archive.version)).version, archive.version);
  await snapshots.deleteArchive(id, archive.version);
  await snapshots.createArchive(id, paths);
  await snapshots.deleteAllArchives(id);
  assert.deepEqual(await snapshots.listArchives(id), []);
});

test('runtime access', { skip }, async () => {
  const { apiAccess } = client.workspaces;
  assert.equal((await apiAccess.status(id)).enabled, false);
  const { token } = await apiAccess.enable(id);
  assert.ok(token.startsWith('cof_rt_'));
  assert.equal((await apiAccess.getToken(id)).token, token);
  assert.notEqual((await apiAccess.rotateToken(id)).token, token);
  await refused(apiAccess.rawToken(id));
  await client.workspaces.runtime(id, { force: true });
  await apiAccess.disable(id);
  assert.equal((await apiAccess.status(id)).enabled, false);
  await client.workspaces.runtime(id, { force: true });
});

test('namespaces', { skip }, async () => {
  const { namespaces } = client;
  const { data } = await namespaces.create({ name: 'SDK team', resource_limits: { max_workspaces: 1 } });
  assert.equal(data.slug, 'sdk-team');
  assert.equal((await namespaces.ensure({ name: 'SDK team' })).created, false);
  assert.ok((await namespaces.list({ limit: 10 })).pagination.total >= 2);
  assert.equal((await namespaces.get('sdk-team')).data.id, data.id);
  assert.equal((await namespaces.update(data.id, { description: 'd' })).data.description, 'd');
  const made = await client.workspaces.create({ image: 'minimal', namespace: 'sdk-team' });
  assert.equal(made.namespace, 'sdk-team');
  await refused(client.workspaces.create({ image: 'minimal', namespace: 'sdk-team' }), 'NAMESPACE_LIMIT_REACHED', 409);
  await namespaces.suspend(data.id);
  await refused(client.workspaces.create({ image: 'minimal', namespace: 'sdk-team' }), 'namespace_suspended', 403);
  await namespaces.activate(data.id);
  await namespaces.stopWorkspaces(data.id);
  assert.ok((await namespaces.activity(data.id)).data.length >= 3);
  await namespaces.usage(data.id);
  assert.equal((await namespaces.usageUnits(data.id, { groupBy: 'day' })).data.group_by, 'day');
  await namespaces.setQuota({ namespace: 'sdk-team', service: 'sandbox', quotaLimit: 1, notificationThresholds: [50] });
  assert.equal((await namespaces.resetQuota({ namespace: 'sdk-team', service: 'sandbox' })).data.used, 0);
  await namespaces.listWithQuotas();
  await namespaces.getDetails(data.id);
  await namespaces.setDefaultQuota({ service: 'sandbox', quotaLimit: 1 });
  assert.equal((await namespaces.getDefaultQuota('sandbox')).data.quotaLimit, 1);
  await namespaces.getAllDefaultQuotas();
  assert.equal((await namespaces.toggleDefaultQuotaAutoApply('sandbox', true)).data.autoApply, true);
  await namespaces.deleteDefaultQuota('sandbox');
  await namespaces.delete(data.id, { deleteWorkspaces: true });
});

test('tokens and webhooks', { skip }, async () => {
  const { token, expiresAt, ttl } = await client.tokens.create({ scope: 'workspace', workspaceId: id, ttl: 600 });
  assert.equal(ttl, 600);
  assert.ok(Date.parse(expiresAt) > Date.now());
  const narrow = new Oblien({ token, baseUrl: url });
  assert.equal((await narrow.workspaces.list()).total, 1);
  await refused(narrow.namespaces.create({ name: 'x' }), 'forbidden', 403);
  const { webhooks } = client;
  const { events } = await webhooks.events();
  const { webhook } = await webhooks.create({ url: 'https://example.invalid/hook', events: [events[0]], secret: 's' });
  assert.equal(typeof webhook.id, 'number');
  assert.equal((await webhooks.update(webhook.id, { active: false })).webhook.active, false);
  assert.ok((await webhooks.list()).webhooks.some((hook) => hook.id === webhook.id));
  await webhooks.delete(webhook.id);
});

test('lifecycle.destroy', { skip }, async () => {
  await client.workspaces.lifecycle.destroy(id);
  id = undefined;
});
