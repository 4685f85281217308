// What a crafted call cannot do through the proxy: reach another server, leave the upstream's path, add headers, or hold a place for ever.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createServer, request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { once } from 'node:events';
import { serve } from './lib/vitrine.mjs';

async function listen(t, handle) {
  const seen = [];
  const server = createServer((request, response) => {
    let body = '';
    request.on('error', () => {});
    request.on('data', (piece) => (body += piece)).on('end', () => {
      seen.push({ method: request.method, url: request.url, headers: request.headers, rawHeaders: request.rawHeaders, body });
      handle(request, response);
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => (server.closeAllConnections(), server.close()));
  return { seen, url: `http://127.0.0.1:${server.address().port}` };
}
const ok = (_, response) => response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
const start = (t, up, ...args) => serve(t, { grpc: false, args: ['--upstream', `openai=${up.url}/base`, ...args] });

/** The bytes as they stand, and all that comes back until the connection ends. */
async function raw(v, text) {
  const socket = connect(v.port, '127.0.0.1');
  let got = '';
  socket.setEncoding('utf8').on('data', (piece) => (got += piece)).on('error', () => {});
  socket.write(text);
  await once(socket, 'close');
  return got;
}

test('a redirect is passed on and not followed: the second server is never asked', async (t) => {
  const inside = await listen(t, ok);
  const up = await listen(t, (_, response) => response.writeHead(307, { location: `${inside.url}/secret` }).end());
  const v = await start(t, up);
  const response = await v.fetch('/proxy/openai/v1/chat/completions', { method: 'POST', body: '{}', redirect: 'manual', headers: { authorization: 'Bearer sk-0123456789' } });
  assert.deepEqual([response.status, response.headers.get('location')], [307, `${inside.url}/secret`]);
  assert.equal(inside.seen.length, 0);
});

test('crafted paths reach the upstream below its own path, or nothing', async (t) => {
  const inside = await listen(t, ok), up = await listen(t, ok);
  const v = await start(t, up);
  const { port } = new URL(inside.url);
  const paths = ['/proxy/openai/../admin', '/proxy/openai/v1/%2e%2e/%2E%2E/admin', '/proxy/openai/v1%2f..%2fadmin', '/proxy/openai/..%5cadmin', '/proxy/openai/v1/..',
    `/proxy/openai@127.0.0.1:${port}/x`, `/proxy/openai:${port}/x`, `/proxy/http://127.0.0.1:${port}/x`, `/proxy/openai//127.0.0.1:${port}/x`, `/proxy/openai/http://127.0.0.1:${port}/x`,
    '/proxy/openai/v1/models%0d%0aX-Injected:%201', '/proxy/openai?u=@127.0.0.1', `/proxy/openai#@127.0.0.1:${port}/x`, '/proxy//openai/x', '/proxy/'];
  for (const path of paths) {
    const answer = await raw(v, `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n`);
    assert.match(answer, /^HTTP\/1\.1 (200|400|404) /, `${path}: ${answer.slice(0, 80)}`);
  }
  const absolute = await raw(v, `GET ${inside.url}/x HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n`);
  assert.doesNotMatch(absolute, /^HTTP\/1\.1 200 .*\{\}/s);
  assert.equal(inside.seen.length, 0, JSON.stringify(inside.seen));
  for (const { url, headers } of up.seen) {
    assert.ok(url.startsWith('/base'), url);
    assert.doesNotMatch(decodeURIComponent(url).replace(/\?.*/, ''), /(^|[\\/])\.\.([\\/]|$)/, url);
    assert.equal(headers['x-injected'], undefined);
  }
});

test('headers of one connection, and lengths that contradict each other, do not reach upstream', async (t) => {
  const up = await listen(t, ok);
  const v = await start(t, up);
  const head = 'POST /proxy/openai/v1/files HTTP/1.1\r\nHost: 127.0.0.1\r\n';
  await raw(v, `${head}Connection: close, X-Secret-Hop\r\nX-Secret-Hop: 1\r\nKeep-Alive: timeout=9\r\nProxy-Authorization: Basic eDp5\r\nTE: trailers\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\nhi`);
  assert.equal(up.seen.length, 1);
  for (const name of ['x-secret-hop', 'keep-alive', 'proxy-authorization', 'te', 'upgrade', 'expect']) assert.equal(up.seen[0].headers[name], undefined, name);
  // Two ways to tell the length: whatever is made of it, upstream sees at most one request, and none that was hidden in a body.
  await Promise.race([raw(v, `${head}Connection: close\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /base/hidden HTTP/1.1\r\nHost: x\r\n\r\n`), new Promise((done) => setTimeout(done, 10_000).unref())]);
  assert.ok(!up.seen.some(({ url }) => url.includes('hidden')));
});

test('a body in chunks, and one announced with Expect: 100-continue, reach upstream whole', async (t) => {
  const up = await listen(t, ok);
  const v = await start(t, up);
  const send = async (headers, pieces, waits) => {
    const request = httpRequest(new URL('/proxy/openai/v1/files', v.url), { method: 'POST', headers });
    if (waits) request.flushHeaders(), await once(request, 'continue');
    for (const piece of pieces) request.write(piece);
    request.end();
    const [response] = await once(request, 'response');
    response.resume();
    await once(response, 'end');
    return response.statusCode;
  };
  assert.equal(await send({ 'transfer-encoding': 'chunked' }, ['one,', 'two,', 'x'.repeat(100_000)]), 200);
  assert.equal(up.seen[0].body, `one,two,${'x'.repeat(100_000)}`);
  assert.equal(await send({ expect: '100-continue', 'content-length': 5 }, ['hello'], true), 200);
  assert.equal(up.seen[1].body, 'hello');
});

test('connections to upstream are used again, and one that upstream has closed meanwhile costs no call', async (t) => {
  const sockets = new Set();
  const server = createServer((request, response) => (sockets.add(request.socket), request.resume().on('end', () => ok(request, response)))).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => (server.closeAllConnections(), server.close()));
  const v = await start(t, { url: `http://127.0.0.1:${server.address().port}` }, '--threads', '1');
  const call = async () => { const response = await v.fetch('/proxy/openai/v1/chat/completions', { method: 'POST', body: '{"model":"m"}' }); await response.text(); return response.status; };
  for (let i = 0; i < 20; i++) assert.equal(await call(), 200);
  assert.equal(sockets.size, 1);
  for (let i = 0; i < 5; i++) {
    const closed = Promise.all([...sockets].map((socket) => socket.destroyed || (socket.destroy(), once(socket, 'close'))));
    await closed;
    assert.equal(await call(), 200);
  }
});

test('of a key in the query nothing is kept, and it reaches upstream', async (t) => {
  const up = await listen(t, (_, response) => response.writeHead(400, { 'content-type': 'application/json' }).end('{"error":{"code":400,"message":"API key not valid: AIzaNever0to0be0stored","status":"INVALID_ARGUMENT"}}'));
  const v = await start(t, up, '--log-level', 'debug');
  await (await v.fetch('/proxy/openai/v1beta/models/gemini-2.5-flash:generateContent?key=AIzaNever0to0be0stored', { method: 'POST', body: '{"contents":"hi"}' })).text();
  assert.match(up.seen[0].url, /key=AIzaNever0to0be0stored/);
  const { traces } = await v.until('/api/v1/traces', ({ traces }) => traces.length === 1);
  const text = JSON.stringify(await v.get(`/api/v1/traces/${traces[0].trace_id}`));
  assert.match(text, /API key not valid: \[key\]/);
  assert.ok(!text.includes('Never0to0be') && !v.log.includes('Never0to0be'));
});
