// Live viewers with a real WebSocket client.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { request } from 'node:https';
import WebSocket from 'ws';
import { certificate, serve } from './lib/vitrine.mjs';
import { exportRequest, llmSpan, protobuf } from './lib/otlp.mjs';

async function viewer(t, v, query = '', protocols = [], options = {}) {
  const socket = new WebSocket(v.url.replace(/^http/, 'ws') + '/api/v1/live' + query, protocols, options);
  const messages = [];
  let wake;
  socket.on('message', (data) => (messages.push(JSON.parse(data)), wake?.()));
  t.after(() => socket.terminate());
  await once(socket, 'open');
  socket.next = async () => {
    while (!messages.length) await new Promise((done) => (wake = done));
    return messages.shift();
  };
  return socket;
}

const send = (v, ...spans) => v.fetch('/v1/traces', { method: 'POST', headers: protobuf, body: exportRequest(spans).body });

test('each viewer sees the spans of its filter, as the API shows them', async (t) => {
  const v = await serve(t);
  const all = await viewer(t, v);
  const some = await viewer(t, v, '?q=' + encodeURIComponent('model:gpt-4o operation:want*'));
  const { body, traceIds } = exportRequest([llmSpan('other'), llmSpan('wanted', { 'user.id': 'u1' })]);
  await v.fetch('/v1/traces', { method: 'POST', headers: protobuf, body });
  assert.equal((await all.next()).operation, 'other');
  assert.equal((await all.next()).operation, 'wanted');
  const span = await some.next();
  assert.equal(span.trace_id, traceIds[1]);
  const { spans } = await v.get(`/api/v1/traces/${traceIds[1]}`);
  for (const key of ['span_id', 'operation', 'kind', 'model', 'start', 'user_id', 'attributes']) assert.deepEqual(span[key], spans[0][key], key);
});

test('a viewer may change its filter, and is told what is wrong with it', async (t) => {
  const v = await serve(t);
  const socket = await viewer(t, v, '?q=operation:nothing');
  socket.send(JSON.stringify({ q: 'duration:>' }));
  const { error } = await socket.next();
  assert.equal(error.code, 'invalid');
  assert.ok(error.column > 0);
  socket.send(JSON.stringify({ q: 'operation:second' }));
  socket.ping('mark');
  await once(socket, 'pong');
  await send(v, llmSpan('first'), llmSpan('second'));
  assert.equal((await socket.next()).operation, 'second');
});

test('a viewer that does not read is told how many spans it lost', async (t) => {
  const v = await serve(t);
  const socket = await viewer(t, v);
  socket.pause();
  const many = Array.from({ length: 500 }, (_, i) => llmSpan(`span ${i}`, { 'gen_ai.prompt.0.content': 'x'.repeat(1000) }));
  let total = 0;
  const lost = async () => Number((await v.get('/metrics')).match(/^vitrine_live_spans_dropped_total (\d+)$/m)[1]);
  // However much room the system gives to what is on its way: it is full at some time.
  for (let i = 0; i < 30 || (i < 300 && !(await lost())); i++, total += many.length) assert.equal((await send(v, ...many)).status, 200);
  socket.resume();
  let seen = 0, dropped = 0;
  while (seen + dropped < total) {
    const message = await socket.next();
    if (message.dropped) dropped += message.dropped;
    else seen++;
  }
  assert.equal(seen + dropped, total);
  assert.ok(dropped > 0 && seen > 0);
  assert.equal((await v.get('/api/v1/status')).live_clients, 1);
});

test('a key comes as a subprotocol; pages of other origins are kept out', async (t) => {
  const v = await serve(t, { args: ['--require-key'] }).catch(() => null);
  const refused = (protocols, options) =>
    new Promise((done) => new WebSocket(v.url.replace(/^http/, 'ws') + '/api/v1/live', protocols, options).on('unexpected-response', (_, response) => done(response.statusCode)).on('error', () => {}));
  assert.equal(await refused([]), 401);
  assert.equal(await refused(['vitrine.live', 'key.vt_abcdefgh_wrong']), 401);
  assert.equal(await refused(['vitrine.live'], { origin: 'https://evil.example' }), 403);
});

test('over TLS too, to the end of the connection', async (t) => {
  const { dir, cert, key } = await certificate(t);
  const v = await serve(t, { dir, args: ['--tls-cert', cert, '--tls-key', key] });
  const ca = await readFile(cert);
  const socket = await viewer(t, v, '', [], { ca });
  await new Promise((done) => request(v.url + '/v1/traces', { ca, method: 'POST', headers: protobuf }, done).end(exportRequest([llmSpan('secret')]).body));
  assert.equal((await socket.next()).operation, 'secret');
  const closed = once(socket, 'close');
  const began = Date.now();
  socket.close(1000);
  assert.equal((await closed)[0], 1000);
  assert.ok(Date.now() - began < 28_000, 'the server ends the connection itself'); // the client would give up after 30 s
});

test('viewers are told that the server stops', async (t) => {
  const v = await serve(t);
  const socket = await viewer(t, v);
  const closed = once(socket, 'close');
  assert.equal((await v.stop()).code, 0);
  assert.equal((await closed)[0], 1001);
});
