// The published client's Runtime against a running daemon with a real microVM: every call inside a workspace, by both ways
// of getting one: the constructor, and the preload under an unchanged program. Environment as in control_plane.test.mjs.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

const { COFFER_URL: url, COFFER_CLIENT_ID: clientId, COFFER_CLIENT_SECRET: clientSecret } = process.env;
const { install, named, settled } = await import('./call_report.mjs');
const { default: Oblien, Runtime } = await import('oblien');

const text = (data) => Buffer.from(data, 'base64').toString();
const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');
let client;
let id;
let rt;
let token;

before(async () => {
  assert.ok(url, 'COFFER_URL names no daemon');
  install({ origins: [url] });
  client = named(new Oblien({ clientId, clientSecret, baseUrl: url }));
  const workspace = await client.workspaces.create({ name: 'sdk-rt', image: 'minimal', config: { ttl: '10m' } });
  id = workspace.id;
  const access = await client.workspaces.apiAccess.enable(id);
  const { runtime_url: baseUrl } = access;
  token = access.token;
  assert.equal(baseUrl, url);
  rt = named(new Runtime({ token, baseUrl }), 'rt');
});
after(async () => {
  if (id) await client.workspaces.delete(id);
  await settled();
});

async function collect(stream) {
  const seen = { out: '', err: '', exit: undefined, task: undefined };
  for await (const event of stream) {
    if (event.event === 'task_id') seen.task = event.task_id;
    if (event.event === 'stdout') seen.out += text(event.data);
    if (event.event === 'stderr') seen.err += text(event.data);
    if (event.event === 'output') seen.out += event.stdout ?? '';
    if (event.event === 'exit') seen.exit = event.exit_code;
  }
  return seen;
}

// The same a second time would be a test that waits; this one looks until it is so.
async function until(condition, what) {
  for (let i = 0; i < 300; ++i) {
    if (await condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assert.fail(`not in 15 s: ${what}`);
}

test('health, info and targets', async () => {
  assert.equal(await rt.health(), true);
  assert.equal((await rt.info()).os, 'linux');
  assert.equal((await rt.targets()).default_target, 'local');
});

test('commands: to the end, as a stream, killed, fed', async () => {
  const ran = await rt.exec.run(['sh', '-c', 'echo out; echo err >&2; exit 3'], { exec_mode: 'direct' });
  assert.deepEqual([ran.stdout, ran.stderr, ran.exit_code, ran.status], ['out\n', 'err\n', 3, 'exited']);
  assert.ok(ran.guest_pid > 1);
  const streamed = await collect(rt.exec.stream(['sh', '-c', 'echo a; sleep 0.2; echo b >&2; exit 4']));
  assert.deepEqual([streamed.out, streamed.err, streamed.exit], ['a\n', 'b\n', 4]);
  const again = await collect(rt.exec.subscribe(streamed.task));
  assert.deepEqual([again.out, again.exit], ['a\n', 4]);

  const long = rt.exec.stream(['sleep', '1000']);
  const first = (await long.next()).value;
  assert.equal(first.event, 'task_id');
  assert.equal((await rt.exec.get(first.task_id)).status, 'running');
  assert.equal((await rt.exec.kill(first.task_id)).success, true);
  assert.notEqual((await collect(long)).exit, 0);

  const cat = rt.exec.stream(['cat']);
  const { task_id: fed } = (await cat.next()).value;
  assert.equal((await rt.exec.input(fed, 'hello\n')).bytes_written, 6);
  const echoed = (await cat.next()).value;
  assert.equal(text(echoed.data), 'hello\n');
  await rt.exec.kill(fed);
  await cat.return();
  assert.ok((await rt.exec.list()).some((task) => task.id === streamed.task));
  assert.equal((await rt.exec.deleteAll()).success, true);
});

test('files: written, read, listed, streamed, looked at, removed', async () => {
  assert.equal((await rt.files.mkdir({ path: '/data/deep' })).success, true);
  await rt.files.write({ fullPath: '/data/a.txt', content: 'one\ntwo\nthree\n', mode: '0640' });
  await rt.files.write({ fullPath: '/data/a.txt', content: 'four\n', append: true });
  await rt.files.write({ fullPath: '/data/deep/b.go', content: 'package b\n', createDirs: true });
  assert.equal((await rt.files.read({ filePath: '/data/a.txt' })).content, 'one\ntwo\nthree\nfour\n');
  assert.equal((await rt.files.read({ filePath: '/data/a.txt', startLine: 2, endLine: 3 })).content.trim(),
    'two\nthree');
  assert.equal((await rt.files.stat({ path: '/data/a.txt' })).permissions, '0640');
  const listed = await rt.files.list({ dirPath: '/data', nested: true, flatten: true, includeHash: true });
  const go = listed.entries.find((entry) => entry.name === 'b.go');
  assert.equal(go.hash, sha256('package b\n'));
  const streamed = [];
  for await (const entry of rt.files.stream({ dirPath: '/data' })) streamed.push(entry.path);
  assert.ok(streamed.includes('/data/deep/b.go'), String(streamed));
  assert.ok((await rt.search.files({ query: 'b.go', path: '/data' })).total_files >= 1);
  assert.ok((await rt.search.content({ query: 'three', path: '/data' })).total_matches >= 1);
  assert.equal((await rt.search.status()).success, true);
  // The minimal image has no ripgrep: the host looks itself, with the same answers.
  assert.equal((await rt.search.init()).success, true);
  assert.equal((await rt.search.content({ query: 'th[r]ee$', path: '/data', regex: true })).total_matches, 1);
  assert.equal((await rt.files.delete({ path: '/data/deep' })).success, true);
  const refused = await rt.files.delete({ path: '/etc' }).catch((error) => error);
  assert.notEqual(refused.success, true);
});

test('50 MB go out and come back the same', async () => {
  const bytes = randomBytes(50 << 20);
  // One file of a tar: header, content, two empty blocks.
  const header = Buffer.alloc(512);
  header.write('big.bin');
  header.write('0000644\0', 100);
  header.write('0000000\0', 108);
  header.write('0000000\0', 116);
  header.write(`${bytes.length.toString(8).padStart(11, '0')}\0`, 124);
  header.write('00000000000\0', 136);
  header.write('        ', 148);
  header.write('0', 156);
  header.write('ustar\0', 257);
  header.write('00', 263);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  const archive = gzipSync(Buffer.concat([header, bytes, Buffer.alloc(1024)]), { level: 1 });
  const sent = await rt.transfer.upload({ dest: '/transfer', body: archive });
  assert.equal(sent.files_extracted, 1);
  const inside = await rt.exec.run(['sha256sum', '/transfer/big.bin']);
  assert.equal(inside.stdout.split(' ')[0], sha256(bytes));
  const response = await rt.transfer.download({ paths: ['/transfer/big.bin'] });
  const { gunzipSync } = await import('node:zlib');
  const tar = gunzipSync(Buffer.from(await response.arrayBuffer()), { maxOutputLength: 60 << 20 });
  assert.ok(tar.indexOf(bytes) >= 0, 'the archive does not hold the file');
});

test('a terminal, its size, its scrollback; a watcher', async () => {
  const terminal = await rt.terminal.create({ shell: '/bin/sh', cols: 90, rows: 20 });
  const watcher = await rt.watcher.create({ path: '/tmp' });
  assert.ok((await rt.terminal.list()).some((one) => one.id === terminal.id));
  if (globalThis.WebSocket) {
    let output = '';
    const changes = [];
    const ws = rt.ws({ reconnect: false });
    const opened = new Promise((resolve) => ws.onOpen(resolve));
    ws.onTerminalOutput((from, data) => {
      if (from === terminal.id) output += Buffer.from(data).toString();
    });
    ws.onWatcherEvent((event) => changes.push(event));
    ws.connect();
    await opened;
    ws.resizeTerminal(terminal.id, 101, 31);
    ws.writeTerminalInput(terminal.id, 'stty size; touch /tmp/seen\n');
    await until(() => output.includes('31 101'), `the terminal's size in ${JSON.stringify(output)}`);
    await until(() => changes.some((change) => change.path?.endsWith('seen')), `a change of /tmp in ${JSON.stringify(changes)}`);
    ws.close();
  }
  await until(async () => (await rt.terminal.scrollback(terminal.id)).size > 0, 'scrollback');
  assert.equal((await rt.watcher.get(watcher.id)).id, watcher.id);
  assert.equal((await rt.watcher.list()).length, 1);
  assert.equal((await rt.watcher.delete(watcher.id)).success, true);
  assert.equal((await rt.terminal.close(terminal.id)).success, true);
});

test('a server on the loopback is reached through the proxy', async () => {
  const page = 'hello from inside';
  await rt.files.write({ fullPath: '/srv/index.html', content: page, createDirs: true });
  const served = rt.exec.stream(['busybox', 'httpd', '-f', '-p', '127.0.0.1:8080', '-h', '/srv']);
  const { task_id: server } = (await served.next()).value;
  let answer;
  await until(async () => {
    answer = await rt.proxy(8080).fetch('/index.html');
    return answer.status === 200;
  }, 'the server inside');
  assert.equal(await answer.text(), page);
  await rt.exec.kill(server);
  await served.return();
});

test('desktops are not there, and say so', async () => {
  assert.equal((await rt.desktop.status()).supported, false);
  for (const call of ['enable', 'disable', 'credentials']) {
    await assert.rejects(rt.desktop[call](), (error) => error.status === 501 && error.code === 'not_supported');
  }
  await assert.rejects(rt.desktop.tunnel(), /does not provide a desktop/);
  assert.equal((await fetch(rt.desktop.url())).status, 501);
  if (globalThis.WebSocket) {
    // What the tunnel would do next.
    const socket = new WebSocket(`${url.replace(/^http/, 'ws')}/desktop/ws?token=${token}`);
    await new Promise((resolve) => socket.addEventListener('error', resolve));
  }
});

test('an unchanged program reaches the workspace through the preload', () => {
  const program = `
    const { default: Oblien } = await import('oblien');
    const client = new Oblien({ clientId: process.env.ID, clientSecret: process.env.SECRET });
    const rt = await client.workspaces.runtime(process.env.WORKSPACE);
    console.log((await rt.exec.run(['echo', 'unchanged'])).stdout.trim());`;
  const preload = fileURLToPath(new URL('../../clients/oblien-preload.mjs', import.meta.url));
  const ran = spawnSync(process.execPath, ['--import', preload, '--input-type=module', '-e', program], {
    cwd: fileURLToPath(new URL('.', import.meta.url)),
    env: { ...process.env, COFFER_URL: url, ID: clientId, SECRET: clientSecret, WORKSPACE: id },
    encoding: 'utf8',
  });
  assert.equal(ran.stdout.trim(), 'unchanged', ran.stderr);
});
