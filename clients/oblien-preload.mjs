// Makes an unchanged program that uses the `oblien` SDK talk to a Cofferdam host:
//
//   COFFER_URL=http://127.0.0.1:7070 node --import /path/to/oblien-preload.mjs program.mjs
//
// The SDK's runtime part has its address written into it, so that no option of the program can change it. What the
// program sends to https://workspace.oblien.com or https://api.oblien.com goes to COFFER_URL instead, credentials
// included; everything else goes where it went. For a certificate of one's own: NODE_EXTRA_CA_CERTS=FILE.
const HOSTS = new Set(['workspace.oblien.com', 'api.oblien.com']);
const DEFAULT_URL = 'http://127.0.0.1:7070';

function baseUrl() {
  const given = process.env.COFFER_URL || DEFAULT_URL;
  let url;
  try {
    url = new URL(given);
  } catch {
    throw new Error(`COFFER_URL is '${given}', which is no URL; write it like ${DEFAULT_URL}`);
  }
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    throw new Error(`COFFER_URL is '${given}': a program of Node can only use http:// or https:// here`);
  }
  if (url.username || url.password || url.search || url.hash) {
    throw new Error(`COFFER_URL is '${given}': only a host, a port and a path may be in it`);
  }
  return url;
}

const base = baseUrl();

// The URL to use, or undefined when it is none of ours.
export function mapped(input) {
  let url;
  try {
    url = new URL(String(input));
  } catch {
    return undefined;
  }
  if (!HOSTS.has(url.hostname) || !['http:', 'https:', 'ws:', 'wss:'].includes(url.protocol)) return undefined;
  const web_socket = url.protocol.startsWith('ws');
  const secure = base.protocol === 'https:';
  const to = new URL(base);
  to.protocol = web_socket ? (secure ? 'wss:' : 'ws:') : base.protocol;
  to.pathname = base.pathname.replace(/\/$/, '') + url.pathname;
  to.search = url.search;
  to.hash = url.hash;
  return to.toString();
}

const plainFetch = globalThis.fetch;
globalThis.fetch = function fetch(input, init) {
  if (!(input instanceof Request)) return plainFetch(mapped(input) ?? input, init);
  const to = mapped(input.url);
  if (to === undefined) return plainFetch(input, init);
  return plainFetch(new Request(to, input), init);
};

// Node 22 has it, 20 with --experimental-websocket; without it the SDK's own WebSockets do not work either.
if (globalThis.WebSocket !== undefined) {
  const PlainWebSocket = globalThis.WebSocket;
  globalThis.WebSocket = class WebSocket extends PlainWebSocket {
    constructor(url, protocols) {
      super(mapped(url) ?? url, protocols);
    }
  };
}
