// Which calls of the SDK were made against us, and how they ended: build/sdk-report.md.
//
//   import { install, named } from './call_report.mjs';
//   install();                                     // wraps fetch and WebSocket, before the SDK is used
//   const client = named(new Oblien({ … }));       // optional: two calls of one route are then told apart
//
// Each process adds its calls to build/sdk-calls.jsonl when it ends, and writes the report of all anew.
//   node call_report.mjs clear|print
import { AsyncLocalStorage } from 'node:async_hooks';
import { appendFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const HERE = dirname(fileURLToPath(import.meta.url));
const BUILD = process.env.COFFER_SDK_BUILD ?? join(HERE, '../../build');
const RECORD = join(BUILD, 'sdk-calls.jsonl');
const REPORT = join(BUILD, 'sdk-report.md');

const current = new AsyncLocalStorage();
const records = [];
const pending = new Set();

export function readCalls() {
  return JSON.parse(readFileSync(join(HERE, 'calls.json'), 'utf8'));
}

// The literal segments that fit, or -1. "{x}" takes one segment, "{path...}" the rest, none included.
function fit(pattern, segments) {
  const parts = pattern.split('/').slice(1);
  let literal = 0;
  for (let i = 0; i < parts.length; ++i) {
    if (parts[i].endsWith('...}')) return literal;
    if (i >= segments.length) return -1;
    if (parts[i].startsWith('{')) continue;
    if (parts[i] !== segments[i]) return -1;
    ++literal;
  }
  return parts.length === segments.length ? literal : -1;
}

// The rows of the list that a request may be: those of the most exact route. `name` narrows them to one call.
export function matchCalls(calls, method, pathname, name) {
  const segments = pathname.replace(/^\/runtimes\/[a-z][a-z0-9_-]*(?=\/)/, '').split('/').slice(1);
  let best = -1;
  let found = [];
  for (const row of calls) {
    const fits = row.method === method || (row.method === 'ANY' && method !== 'WS') ||
      (row.method === 'BROWSER' && method === 'GET');
    if (!fits) continue;
    const literal = fit(row.path, segments);
    if (literal < 0 || literal < best) continue;
    if (literal > best) found = [];
    best = literal;
    found.push(row);
  }
  const own = found.filter((row) => row.call === name);
  return own.length > 0 ? own : found;
}

async function outcomeOf(response) {
  if (response.status === 501) return 'refused';
  if (!response.ok) return 'failed';
  // Streams are not waited for: that they began is what their status says.
  if (!(response.headers.get('content-type') ?? '').includes('application/json')) return 'passed';
  const body = await response.clone().json().catch(() => undefined);
  if (body === undefined) return 'failed';
  return body !== null && body.success === false ? 'failed' : 'passed';
}

function add(method, url, outcome, detail) {
  records.push({ call: current.getStore() ?? null, method, path: new URL(url).pathname, outcome, detail });
}

// Only requests to `origins` count (all when there is none given).
export function install({ origins } = {}) {
  const counts = (url) => !origins || origins.includes(new URL(url).origin.replace(/^ws/, 'http'));
  const plainFetch = globalThis.fetch;
  globalThis.fetch = async (input, init) => {
    const url = input instanceof Request ? input.url : String(input);
    const method = (init?.method ?? (input instanceof Request ? input.method : 'GET')).toUpperCase();
    if (!counts(url)) return plainFetch(input, init);
    let response;
    try {
      response = await plainFetch(input, init);
    } catch (error) {
      add(method, url, 'failed', String(error?.cause?.code ?? error));
      throw error;
    }
    const name = current.getStore();
    const looked = outcomeOf(response).then((outcome) =>
      current.run(name, () => add(method, url, outcome, String(response.status))));
    pending.add(looked);
    looked.finally(() => pending.delete(looked));
    return response;
  };
  const PlainWebSocket = globalThis.WebSocket;
  if (PlainWebSocket !== undefined) {
    globalThis.WebSocket = class WebSocket extends PlainWebSocket {
      constructor(url, protocols) {
        super(url, protocols);
        if (!counts(url)) return;
        const name = current.getStore();
        let decided = false;
        const decide = (outcome) => () => {
          if (!decided) current.run(name, () => add('WS', url, outcome, ''));
          decided = true;
        };
        this.addEventListener('open', decide('passed'));
        // An upgrade that was not agreed to does not say why; the same path, asked for plainly, does.
        this.addEventListener('error', () => {
          if (decided) return;
          const token = new URL(url).searchParams.get('token');
          const headers = token ? { Authorization: `Bearer ${token}` } : {};
          const looked = plainFetch(String(url).replace(/^ws/, 'http'), { headers })
            .then((response) => decide(response.status === 501 ? 'refused' : 'failed')(), decide('failed'));
          pending.add(looked);
          looked.finally(() => pending.delete(looked));
        });
      }
    };
  }
  process.once('exit', save);
}

// The same client, whose calls carry their names: "workspaces.lifecycle.get". A Runtime it gives out is named as well.
export function named(object, prefix = '') {
  return new Proxy(object, {
    get(target, property) {
      const value = Reflect.get(target, property, target);
      if (typeof property !== 'string' || property.startsWith('_')) return value;
      const name = prefix === '' ? property : `${prefix}.${property}`;
      if (typeof value === 'object' && value !== null) return named(value, name);
      if (typeof value !== 'function') return value;
      return (...given) => wrap(current.run(name, () => value.apply(target, given)), name);
    },
  });
}

function wrap(result, name) {
  if (result === null || typeof result !== 'object') return result;
  if (result.constructor?.name === 'Runtime') return named(result, 'rt');
  if (['RuntimeProxy', 'RuntimeWebSocket'].includes(result.constructor?.name)) return named(result, name);
  if (typeof result.then === 'function') return result.then((value) => wrap(value, name));
  if (typeof result.next === 'function') {
    // Each step of a generator runs for whoever asks for it.
    return {
      next: (value) => current.run(name, () => result.next(value)),
      return: (value) => current.run(name, () => result.return(value)),
      throw: (error) => current.run(name, () => result.throw(error)),
      [Symbol.asyncIterator]() {
        return this;
      },
    };
  }
  return result;
}

// Waits for the bodies that are still being looked at; only then is the report whole.
export async function settled() {
  while (pending.size > 0) await Promise.all([...pending]);
  return records;
}

const ORDER = ['not made', 'failed', 'refused', 'passed'];
const TEXT = { passed: 'passed', refused: 'refused with 501', failed: 'failed', 'not made': 'not made' };

// The best outcome of each row: a test may well make a call that has to fail.
export function summarize(calls, made) {
  const rows = calls.map((row) => ({ ...row, outcome: 'not made', detail: '' }));
  for (const record of made) {
    for (const match of matchCalls(calls, record.method, record.path, record.call)) {
      const row = rows[calls.indexOf(match)];
      if (ORDER.indexOf(record.outcome) < ORDER.indexOf(row.outcome)) continue;
      row.outcome = record.outcome;
      row.detail = record.outcome === 'failed' ? (record.detail ?? '') : '';
    }
  }
  return rows;
}

export function render(rows) {
  const count = (outcome) => rows.filter((row) => row.outcome === outcome).length;
  const head = ORDER.toReversed?.() ?? [...ORDER].reverse();
  const lines = [
    '# Calls of the SDK against this host',
    '',
    `${rows.length} requests: ${head.map((outcome) => `${count(outcome)} ${TEXT[outcome]}`).join(', ')}.`,
    '',
    '| call | request | outcome |',
    '| --- | --- | --- |',
  ];
  for (const row of rows) {
    const outcome = TEXT[row.outcome] + (row.detail ? ` (${row.detail})` : '');
    lines.push(`| ${row.call} | ${row.method} ${row.path} | ${outcome} |`);
  }
  return `${lines.join('\n')}\n`;
}

function recorded() {
  if (!existsSync(RECORD)) return [];
  return readFileSync(RECORD, 'utf8').split('\n').filter(Boolean).map((line) => JSON.parse(line));
}

function save() {
  mkdirSync(BUILD, { recursive: true });
  if (records.length > 0) appendFileSync(RECORD, `${records.map((record) => JSON.stringify(record)).join('\n')}\n`);
  writeFileSync(REPORT, render(summarize(readCalls(), recorded())));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  if (process.argv[2] === 'clear') rmSync(RECORD, { force: true });
  else process.stdout.write(render(summarize(readCalls(), recorded())));
}
