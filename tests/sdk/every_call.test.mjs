// Every method of the SDK's classes against a server that answers anything: the requests are those of calls.json, no more
// and no fewer. When a new version of the SDK differs, this names what.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

process.env.COFFER_SDK_BUILD = mkdtempSync(join(tmpdir(), 'coffer-sdk-'));
const { install, matchCalls, named, readCalls, render, settled, summarize } = await import('./call_report.mjs');
const { default: Oblien, Runtime } = await import('oblien');

// What makes no request, or is no part of the contract.
const LOCAL = new Set(['constructor', 'setTokenTtl', 'invalidateRuntime', 'invalidateAllRuntimes', 'forTarget', 'parseSSE',
                       'ws', 'proxy', 'url']);
const EVERYTHING = {
  success: true, status: 'ok', enabled: true, token: 't', workspace: { id: 'a1', ready: true }, workload: { id: 1 },
  port: { port: 1 }, watcher: { id: 'w' }, tasks: [], terminals: [], watchers: [], ports: [], workloads: [], archives: [],
  files: [], domain: null,
};

let server;
let origin;
let enabled = true;

before(async () => {
  server = createServer((request, response) => {
    request.resume();
    const stream = request.url.includes('/stream');
    response.setHeader('Content-Type', stream ? 'text/event-stream' : 'application/json');
    if (request.url.includes('/not-built')) response.statusCode = 501;
    if (request.url.startsWith('/files/stream')) response.end('{"event":"start"}\n{"name":"x"}\n{"event":"done"}\n');
    else if (stream) response.end('event: exit\ndata: {"exit_code":0}\n\n');
    else response.end(JSON.stringify({ ...EVERYTHING, enabled }));
  });
  server.on('upgrade', (_, socket) => socket.end('HTTP/1.1 501 Not Implemented\r\nContent-Length: 0\r\n\r\n'));
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  origin = `http://127.0.0.1:${server.address().port}`;
});
after(() => {
  server.close();
  // Behind the report, which is written when the process ends.
  process.once('exit', () => rmSync(process.env.COFFER_SDK_BUILD, { recursive: true, force: true }));
});

async function callAll(object) {
  const methods = Object.getOwnPropertyNames(Object.getPrototypeOf(object)).filter(
    (name) => !LOCAL.has(name) && !name.startsWith('_') && typeof object[name] === 'function');
  for (const name of methods) {
    const result = object[name]('a1', 'a2', {});
    if (typeof result?.[Symbol.asyncIterator] === 'function') for await (const _ of result);
    else await Promise.resolve(result).catch((error) => assert.match(String(error), /desktop/));
  }
}

test('the requests of all methods are those of calls.json', async () => {
  install({ origins: [origin] });
  const client = named(new Oblien({ clientId: 'id', clientSecret: 'secret', baseUrl: origin }));
  const rt = named(new Runtime({ token: 't', baseUrl: origin }), 'rt');
  const { workspaces } = client;
  await callAll(workspaces);
  enabled = false;
  await workspaces.runtime('a1', { force: true });
  enabled = true;
  for (const part of Object.keys(new Oblien({ token: 't' }).workspaces)) {
    if (!part.startsWith('_')) await callAll(workspaces[part]);
  }
  for (const part of ['namespaces', 'webhooks', 'tokens']) await callAll(client[part]);
  await callAll(rt);
  for (const part of ['files', 'search', 'exec', 'terminal', 'watcher', 'transfer', 'desktop']) await callAll(rt[part]);
  await rt.proxy(3000).fetch('/x?y=1');

  const plain = (path) => path.replace(/\{[^}.]*\}|\b(a1|a2)\b/g, '*');
  const text = ({ call, method, path }) => `${call} ${method} ${plain(path)}`;
  const made = new Set((await settled()).map(text));
  made.delete('rt.proxy.fetch GET /proxy/x');
  const listed = new Set(readCalls().filter(({ method }) => !['ANY', 'WS', 'BROWSER'].includes(method)).map(text));
  assert.deepEqual([...made].filter((line) => !listed.has(line)).sort(), [], 'made, but not in calls.json');
  assert.deepEqual([...listed].filter((line) => !made.has(line)).sort(), [], 'in calls.json, but never made');
  assert.ok((await settled()).every(({ outcome }) => outcome === 'passed'));
});

test('a request is matched to the most exact route, and to the call when its name is known', () => {
  const calls = readCalls();
  const names = (...given) => matchCalls(calls, ...given).map(({ call }) => call);
  assert.deepEqual(names('GET', '/workspace/quota'), ['workspaces.getQuota']);
  assert.deepEqual(names('GET', '/workspace/ws_1'), ['workspaces.waitUntilReady', 'workspaces.get']);
  assert.deepEqual(names('GET', '/workspace/ws_1', 'workspaces.get'), ['workspaces.get']);
  assert.deepEqual(names('GET', '/workspace/ws_1/workloads/stats/stream'), ['workspaces.workloads.allStatsStream']);
  assert.deepEqual(names('POST', '/runtimes/windows/exec'), ['rt.exec.run']);
  assert.deepEqual(names('GET', '/runtimes'), ['rt.targets']);
  assert.deepEqual(names('DELETE', '/proxy/a/b'), ['rt.proxy.fetch']);
  assert.deepEqual(names('GET', '/nothing'), []);
});

test('the report holds the best outcome of each call', () => {
  const calls = readCalls();
  const record = (method, path, outcome, detail) => ({ call: null, method, path, outcome, detail });
  const rows = summarize(calls, [
    record('GET', '/workspace/quota', 'failed', '404'), record('GET', '/workspace/quota', 'passed', '200'),
    record('GET', '/workspace/a/ssh', 'refused', '501'), record('GET', '/workspace/a/usage', 'failed', '500'),
  ]);
  const of = (name) => rows.find(({ call }) => call === name);
  assert.equal(of('workspaces.getQuota').outcome, 'passed');
  assert.equal(of('workspaces.ssh.status').outcome, 'refused');
  assert.equal(of('workspaces.usage.get').detail, '500');
  assert.equal(of('rt.exec.run').outcome, 'not made');
  const report = render(rows);
  assert.match(report, /1 passed, 1 refused with 501, 1 failed, 167 not made/);
  assert.match(report, /\| workspaces\.ssh\.status \| GET \/workspace\/\{id\}\/ssh \| refused with 501 \|/);
});

test('the process leaves the report behind', async () => {
  const { spawnSync } = await import('node:child_process');
  const program = `
    const { install, named, settled } = await import('${new URL('./call_report.mjs', import.meta.url)}');
    const { default: Oblien } = await import('${import.meta.resolve?.('oblien') ?? 'oblien'}');
    globalThis.fetch = async (url) => new Response(
      '{"success":false}', { status: String(url).includes('quota') ? 501 : 200, headers: { 'Content-Type': 'application/json' } });
    install();
    const client = named(new Oblien({ token: 't', baseUrl: 'http://127.0.0.1:1' }));
    await client.workspaces.getQuota().catch(() => {});
    await client.workspaces.lifecycle.ping('a').catch(() => {});
    await settled();`;
  const ran = spawnSync(process.execPath, ['--input-type=module', '--eval', program], { env: process.env, timeout: 60_000 });
  assert.equal(ran.status, 0, String(ran.stderr));
  const report = readFileSync(join(process.env.COFFER_SDK_BUILD, 'sdk-report.md'), 'utf8');
  assert.match(report, /\| workspaces\.getQuota \| GET \/workspace\/quota \| refused with 501 \|/);
  assert.match(report, /\| workspaces\.lifecycle\.ping \| POST \/workspace\/\{id\}\/ping \| failed \(200\) \|/);
  assert.match(report, /\| workspaces\.ping \| POST \/workspace\/\{id\}\/ping \| not made \|/);
});
