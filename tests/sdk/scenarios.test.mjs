// Long scenarios with the published client against a running daemon: what programs do, from beginning to end. Environment as
// in control_plane.test.mjs; the daemon lets webhooks go to private addresses.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const { COFFER_URL: url, COFFER_CLIENT_ID: clientId, COFFER_CLIENT_SECRET: clientSecret } = process.env;
const { install, named, settled } = await import('./call_report.mjs');
const { default: Oblien, Runtime } = await import('oblien');

const run = promisify(execFile);
const PRELOAD = fileURLToPath(new URL('../../clients/oblien-preload.mjs', import.meta.url));
const COMMAND = fileURLToPath(new URL('./node_modules/oblien/dist/cli/index.js', import.meta.url));
let client;

before(() => {
  assert.ok(url, 'COFFER_URL names no daemon');
  install({ origins: [url] });
  client = named(new Oblien({ clientId, clientSecret, baseUrl: url }));
});
after(settled);

const fails = (promise, status, code) =>
  assert.rejects(promise, (error) => {
    assert.deepEqual([error.status, error.code], [status, code], error.message);
    return true;
  });

async function until(condition, what) {
  for (let i = 0; i < 600; ++i) {
    const value = await condition();
    if (value) return value;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assert.fail(`not in 30 s: ${what}`);
}

const gone = (id) => client.workspaces.get(id).then(() => false, (error) => error.status === 404);

test('the life of a workspace that runs a command of its own', async () => {
  const { workspaces } = client;
  const made = await workspaces.create({
    name: 'lived', image: 'minimal', mode: 'permanent',
    config: {
      cmd: ['sh', '-c', 'echo from the command; touch /ready; sleep 1000'], remove_on_exit: false,
      ready_check: { command: ['test', '-e', '/ready'], timeout_seconds: 60 },
      workloads: [{ name: 'beside', cmd: ['sh', '-c', 'sleep 1000'], env: ['A=1'] }],
    },
  });
  assert.equal(made.ready, true);
  const listed = await workspaces.workloads.list(made.id);
  assert.deepEqual(listed.map((workload) => [workload.name, workload.origin]).sort(),
    [['beside', 'config'], ['cmd', 'config']]);
  for await (const line of workspaces.logs.streamCmd(made.id, { tail_lines: 10 })) {
    assert.equal(line.message, 'from the command');
    break;
  }
  const boot = await workspaces.logs.get(made.id, { source: 'boot', tail_lines: 1000 });
  assert.ok(boot.logs.some((line) => line.message.includes('Linux version')), 'no line of the guest\'s kernel');
  await workspaces.pause(made.id);
  assert.equal((await workspaces.get(made.id)).status, 'paused');
  await workspaces.resume(made.id);
  await workspaces.resources.update(made.id, { memory_mb: 320, apply: true });
  assert.equal((await workspaces.resources.get(made.id)).resources.memory_mb, 320);
  await workspaces.lifecycle.setIdle(made.id, { suspend_after: 1 });
  await until(async () => (await workspaces.get(made.id)).status === 'suspended', 'sleep after a second without use');
  const { token } = await workspaces.apiAccess.enable(made.id);
  const rt = new Runtime({ token, baseUrl: url });
  await workspaces.lifecycle.setIdle(made.id, null);
  await workspaces.start(made.id);
  assert.equal((await rt.exec.run(['echo', 'awake'])).stdout, 'awake\n');
  await workspaces.update(made.id, { config: { remove_on_exit: true } });
  await workspaces.stop(made.id);
  assert.ok(await gone(made.id), 'remove_on_exit did not remove it');
});

test('creates are idempotent, also two at once', async () => {
  const wish = { image: 'minimal', config: { ttl: '10m', cmd: 'sleep 1000' }, idempotency_key: 'scenario-1' };
  const [one, two] = await Promise.all([client.workspaces.create(wish), client.workspaces.create(wish)]);
  assert.equal(one.id, two.id);
  assert.equal((await client.workspaces.workloads.list(one.id)).length, 1);
  await client.workspaces.delete(one.id);
});

test('a delete during a create leaves nothing, and says so to the one who creates', async () => {
  const { workspaces } = client;
  for (let round = 0; round < 4; ++round) {
    const slug = `doomed-${round}`;
    const creating = workspaces.create({ image: 'minimal', slug, config: { ttl: '10m' } })
      .then((made) => made, (error) => error);
    // As soon as it can be named.
    await until(() => workspaces.delete(slug).then(() => true, (error) => error.status !== 404), 'the delete');
    const ended = await creating;
    assert.ok(ended.id?.startsWith('ws_') || [404, 409].includes(ended.status), String(ended));
    assert.ok(await gone(slug), `${slug} is still there`);
  }
});

test('workloads are started again as often as they may, and end their workspace when they say so', async () => {
  const { workspaces } = client;
  const { id } = await workspaces.create({ image: 'minimal', mode: 'permanent', config: { remove_on_exit: true } });
  await workspaces.workloads.create(id, {
    name: 'flaky', cmd: ['sh', '-c', 'echo try >> /tries; echo gone wrong >&2; exit 3'], restart_policy: 'on-failure',
    max_restarts: 2, restart_delay: 1,
  });
  const failed = await until(async () => {
    const workload = await workspaces.workloads.get(id, 'flaky');
    return workload.state === 'failed' && workload;
  }, 'the end of its restarts');
  assert.deepEqual([failed.restart_count, failed.exit_code], [2, 3]);
  assert.match((await workspaces.workloads.logs(id, 'flaky')).logs, /stderr: gone wrong/);
  const { token } = await workspaces.apiAccess.enable(id);
  const tries = await new Runtime({ token, baseUrl: url }).files.read({ filePath: '/tries' });
  assert.equal(tries.content, 'try\ntry\ntry\n');
  await workspaces.workloads.create(id, { name: 'last', cmd: ['true'], vm_on_exit: 'exit' });
  await until(() => gone(id), 'the end of the workspace with its workload');
});

test('namespaces: totals are enforced, credits limit what is started', async () => {
  const { namespaces, workspaces } = client;
  const { data } = await namespaces.create({ name: 'Scenario', resource_limits: { max_workspaces: 2, max_ram_mb: 768 } });
  const make = (memory_mb) => workspaces.create({ image: 'minimal', namespace: data.slug, memory_mb, config: { ttl: '10m' } });
  await make(512);
  await fails(make(512), 409, 'NAMESPACE_LIMIT_REACHED');
  await namespaces.setQuota({ namespace: data.slug, service: 'sandbox', quotaLimit: 0 });
  await fails(make(128), 402, 'quota_exceeded');
  await namespaces.setQuota({ namespace: data.slug, service: 'sandbox', quotaLimit: 1000 });
  const inside = await make(128);
  await namespaces.suspend(data.id);
  await fails(make(128), 403, 'namespace_suspended');
  await namespaces.activate(data.id);
  // The meter looks every ten seconds.
  const used = await until(async () => {
    const { data: units } = await namespaces.usageUnits(data.id, { groupBy: 'hour' });
    return units.totals.vcpu_hours > 0 && units;
  }, 'a sample of what is used');
  assert.ok(used.buckets.length >= 1);
  await until(async () => (await workspaces.usage.totals(inside.id)).total_cpu_time_ns > 0, 'its CPU time');
  await namespaces.delete(data.id, { deleteWorkspaces: true });
  assert.ok(await gone(inside.id));
});

test('tokens: what they reach, and until when', async () => {
  const { workspaces, tokens } = client;
  const [mine, theirs] = await Promise.all(['token-a', 'token-b'].map((name) =>
    workspaces.create({ image: 'minimal', name, config: { ttl: '10m' } })));
  const { token } = await tokens.create({ scope: 'workspace', workspaceId: mine.id, ttl: 600 });
  const agent = new Oblien({ token, baseUrl: url });
  assert.equal((await agent.workspaces.get(mine.id)).id, mine.id);
  for (const name of [theirs.id, 'token-b', 'nobody']) await fails(agent.workspaces.get(name), 404, 'not_found');
  await fails(agent.tokens.create({ scope: 'namespace', namespace: 'default' }), 404, 'not_found');
  const brief = await tokens.create({ scope: 'workspace', workspaceId: mine.id, ttl: 1 });
  assert.equal(brief.ttl, 1);
  const late = new Oblien({ token: brief.token, baseUrl: url });
  await until(() => late.workspaces.get(mine.id).then(() => false, (error) => error.status === 401), 'the token\'s end');
  // The kinds are checked at the door, and a revoked token cuts what it has open.
  const { token: runtimeToken } = await workspaces.apiAccess.enable(mine.id);
  await fails(new Oblien({ token: runtimeToken, baseUrl: url }).workspaces.list(), 404, 'not_found');
  const rt = new Runtime({ token: runtimeToken, baseUrl: url });
  const stream = rt.exec.stream(['sleep', '1000']);
  assert.equal((await stream.next()).value.event, 'task_id');
  await workspaces.apiAccess.disable(mine.id);
  await assert.rejects((async () => {
    for await (const event of stream) assert.ok(event);
  })());
  await Promise.all([mine, theirs].map(({ id }) => workspaces.delete(id)));
});

test('webhooks arrive at a server of ours, with a signature that holds', async () => {
  const arrived = [];
  const server = createServer((request, response) => {
    const pieces = [];
    request.on('data', (piece) => pieces.push(piece));
    request.on('end', () => {
      arrived.push({ headers: request.headers, body: Buffer.concat(pieces) });
      response.statusCode = arrived.length === 1 ? 503 : 200;  // the first try fails
      response.end('{}');
    });
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const target = `http://127.0.0.1:${server.address().port}/hook`;
  const { webhook } = await client.webhooks.create({ url: target, events: ['vm.created'], secret: 'shared secret' });
  try {
    const made = await client.workspaces.create({ image: 'minimal', name: 'hooked', config: { ttl: '10m' } });
    const [refused, taken] = await until(() => arrived.length >= 2 && arrived, 'a second try of the delivery');
    assert.deepEqual(refused.body, taken.body, 'the tries differ');
    const signature = createHmac('sha256', 'shared secret').update(taken.body).digest('hex');
    assert.equal(taken.headers['x-webhook-signature'], signature);
    const body = JSON.parse(taken.body);
    assert.deepEqual([body.event, body.data.workspace_id, body.data.workspace_name], ['vm.created', made.id, 'hooked']);
    assert.ok(Date.parse(body.timestamp) > Date.now() - 60_000);
    await client.workspaces.delete(made.id);
  } finally {
    await client.webhooks.delete(webhook.id);
    server.close();
  }
});

test('a web server and a WebSocket inside are reached through the proxy', async () => {
  const { id } = await client.workspaces.create({ image: 'debian-12', config: { ttl: '10m' } });
  const { token } = await client.workspaces.apiAccess.enable(id);
  const rt = named(new Runtime({ token, baseUrl: url }), 'rt');
  await rt.files.write({ fullPath: '/echo.py', content: readFileSync(new URL('./echo_server.py', import.meta.url), 'utf8') });
  const served = rt.exec.stream(['python3', '/echo.py', '8080']);
  assert.equal((await served.next()).value.event, 'task_id');
  await until(async () => (await rt.proxy(8080).fetch('/')).status === 200, 'the server inside');
  if (globalThis.WebSocket) {
    const socket = rt.proxy(8080).ws('/echo?of=mine');
    const answer = new Promise((resolve, reject) => {
      socket.addEventListener('message', (event) => resolve(event.data));
      socket.addEventListener('error', () => reject(new Error('the WebSocket failed')));
    });
    await new Promise((resolve) => socket.addEventListener('open', resolve));
    socket.send('through the proxy');
    assert.equal(await answer, '/echo?of=mine through the proxy');
    socket.close();
  }
  await served.return();
  await client.workspaces.delete(id);
});

test('a synchronous command that takes longer than its client waits in silence is kept alive', async () => {
  const { id } = await client.workspaces.create({ image: 'minimal', config: { ttl: '30m' } });
  const { token } = await client.workspaces.apiAccess.enable(id);
  const seconds = Number(process.env.COFFER_SDK_LONG_EXEC ?? 3);
  // The head goes out within a second; blanks follow until the answer is there.
  const began = performance.now();
  const response = await fetch(`${url}/exec`, {
    method: 'POST', headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' },
    body: JSON.stringify({ cmd: ['sh', '-c', `sleep ${seconds}; echo done; exit 4`] }),
  });
  const head = performance.now() - began;
  const whole = await response.json();
  assert.ok(head < (performance.now() - began) - 500, 'the head came with the answer');
  assert.deepEqual([whole.exit_code, whole.stdout], [4, 'done\n']);
  const ran = await new Runtime({ token, baseUrl: url }).exec.run(['sh', '-c', `sleep ${seconds}; echo done; exit 4`]);
  assert.deepEqual([ran.exit_code, ran.stdout, ran.status], [4, 'done\n', 'exited']);
  await client.workspaces.delete(id);
});

test('the published command line, unchanged: what needs no login', async () => {
  const home = mkdtempSync(join(tmpdir(), 'coffer-oblien-'));
  const env = {
    ...process.env, HOME: home, OBLIEN_BASE_URL: url, OBLIEN_CLIENT_ID: clientId, OBLIEN_CLIENT_SECRET: clientSecret,
    COFFER_URL: url, NODE_OPTIONS: `${process.env.NODE_OPTIONS ?? ''} --import ${PRELOAD}`.trim(),
  };
  const oblien = async (...words) => {
    const { stdout } = await run(process.execPath, [COMMAND, ...words], { env, timeout: 60_000 });
    return stdout;
  };
  const json = async (...words) => JSON.parse(await oblien(...words, '--json'));
  try {
    assert.match(await oblien('--version'), /2\.4\.0/);
    assert.ok((await json('images', 'list')).images.some(({ image }) => image === 'minimal'));
    await oblien('ws', 'create', '--image', 'minimal', '--name', 'from-oblien');
    const { id } = (await client.workspaces.list()).workspaces.find(({ name }) => name === 'from-oblien');
    assert.ok(JSON.stringify(await json('ws', 'list')).includes(id));
    assert.match(await oblien('ws', 'get', id), /running/);
    await oblien('ws', 'quota');
    await oblien('lifecycle', 'get', id);
    await oblien('api-access', 'enable', id);
    assert.match(await oblien('exec', id, '--', 'echo', 'by the command line'), /by the command line/);
    // It prints what the stream carries as it is: base64.
    assert.match(await oblien('exec', id, '--stream', '--', 'echo', 'streamed'), /c3RyZWFtZWQK/);
    await oblien('files', 'write', id, '/note.txt', '--content', 'a needle in it');
    assert.match(await oblien('files', 'cat', id, '/note.txt'), /a needle in it/);
    assert.match(await oblien('files', 'ls', id, '/'), /note\.txt/);
    writeFileSync(join(home, 'up.txt'), 'sent as an archive');
    await oblien('files', 'push', id, join(home, 'up.txt'), '--dest', '/sent');
    await oblien('files', 'pull', id, '/note.txt', '--dest', home);
    // As text it looks for a member that the contract has not, and prints nothing.
    assert.equal((await json('search', id, 'need.e', '--regex', '--dir', '/note.txt')).total_matches, 1);
    assert.match(await oblien('search', 'status', id), /host|installed|false/i);
    assert.match(await oblien('logs', 'get', id, '--source', 'boot', '--json'), /\[ +\d+\.\d{6}\]/);
    await oblien('logs', 'files', id);
    await oblien('metrics', 'stats', id);
    await oblien('usage', 'get', id);
    await oblien('usage', 'totals', id);
    await oblien('usage', 'global');
    await oblien('metadata', 'set', id, 'team=a');
    assert.match(await oblien('metadata', 'get', id, '--json'), /team/);
    await oblien('workloads', 'list', id);
    await oblien('terminal', 'create', id);
    await oblien('terminal', 'list', id);
    await oblien('watcher', 'create', id, '--path', '/tmp');
    await oblien('network', 'get', id);
    await oblien('tokens', 'create', '--scope', 'workspace', '--workspace-id', id);
    await oblien('ns', 'list');
    await oblien('ns', 'quotas');
    await oblien('ws', 'delete', id);
    assert.ok(await gone(id));
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
});
