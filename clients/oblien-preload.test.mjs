// node --test clients/: the preload against a server that writes down what reaches it.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const PRELOAD = fileURLToPath(new URL('./oblien-preload.mjs', import.meta.url));
const run = promisify(execFile);
let server;
let origin;
let seen = [];

before(async () => {
  server = createServer((request, response) => {
    let body = '';
    request.on('data', (piece) => (body += piece));
    request.on('end', () => {
      seen.push({ method: request.method, url: request.url, headers: request.headers, body });
      response.setHeader('Content-Type', 'application/json');
      response.end('{"success":true}');
    });
  });
  server.on('upgrade', (request, socket) => {
    seen.push({ method: 'WS', url: request.url, headers: request.headers, body: '' });
    socket.end('HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n');
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  origin = `http://127.0.0.1:${server.address().port}`;
});
after(() => server.close());

// Runs a program under the preload; gives back what the server saw.
async function underPreload(program, { url = origin, flags = [] } = {}) {
  seen = [];
  const env = { ...process.env, COFFER_URL: url };
  delete env.NODE_OPTIONS;
  await run(process.execPath, [...flags, '--import', PRELOAD, '--input-type=module', '--eval', program],
            { env, timeout: 60_000 });
  return seen;
}

test('a string, a URL and a Request all reach COFFER_URL with path, query, headers and body', async () => {
  const got = await underPreload(`
    await fetch('https://workspace.oblien.com/files/read?path=%2Fa%20b&x=1+2', { headers: { Authorization: 'Bearer t' } });
    await fetch(new URL('https://api.oblien.com/workspace'), { method: 'POST', body: '{"name":"a"}' });
    await fetch(new Request('https://workspace.oblien.com/exec/1/input', { method: 'POST', body: 'bytes', headers: { 'X-A': 'b' } }));
  `);
  assert.equal(got.length, 3);
  assert.equal(got[0].url, '/files/read?path=%2Fa%20b&x=1+2');
  assert.equal(got[0].headers.authorization, 'Bearer t');
  assert.deepEqual([got[1].method, got[1].url, got[1].body], ['POST', '/workspace', '{"name":"a"}']);
  assert.deepEqual([got[2].method, got[2].url, got[2].body], ['POST', '/exec/1/input', 'bytes']);
  assert.equal(got[2].headers['x-a'], 'b');
});

test('a streamed body arrives whole', async () => {
  const got = await underPreload(`
    const body = new Blob(['a'.repeat(100000)]).stream();
    await fetch('https://workspace.oblien.com/files/transfer/upload?dest=/', { method: 'POST', body, duplex: 'half' });
  `);
  assert.equal(got[0].body.length, 100_000);
});

test('a path in COFFER_URL is kept in front', async () => {
  const got = await underPreload("await fetch('https://workspace.oblien.com/health');", { url: `${origin}/gate/` });
  assert.equal(got[0].url, '/gate/health');
});

test('other hosts are left alone', async () => {
  const got = await underPreload(`await fetch('${origin}/elsewhere'); await fetch('https://oblien.com.invalid/x').catch(() => {});`);
  assert.deepEqual(got.map((request) => request.url), ['/elsewhere']);
});

test('a WebSocket reaches COFFER_URL with its query', async (context) => {
  const major = Number(process.versions.node.split('.')[0]);
  if (major < 20) return context.skip('this Node has no WebSocket');
  const got = await underPreload(
    "const ws = new WebSocket('wss://workspace.oblien.com/ws?token=a%2Bb'); await new Promise((done) => { ws.onerror = ws.onclose = done; });",
    { flags: major < 22 ? ['--experimental-websocket'] : [] });
  assert.deepEqual([got[0].method, got[0].url], ['WS', '/ws?token=a%2Bb']);
});

test('an address that cannot work is named', async () => {
  for (const url of ['unix:/run/cofferdam/cofferd.sock', 'nonsense', 'http://user@host', 'http://host/?x=1']) {
    await assert.rejects(underPreload('', { url }), /COFFER_URL is/);
  }
});
