// What the storefront sends: its log lines as libvitrine writes them, and something that a platform would listen with.
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { createServer } from 'node:http';
import { gunzipSync } from 'node:zlib';
import { once } from 'node:events';
import { randomBytes } from 'node:crypto';
import { serve } from './vitrine.mjs';

const id = (bytes) => randomBytes(bytes).toString('hex');

/** One LLM call as a log line (an object). */
export function call({ traceId = id(16), parentSpanId, model = 'gpt-4o-mini', provider = 'openai', ms = 4283, error, tokens = [159, 237], at = Date.now() - ms, service = 'ai-storefront', attributes } = {}) {
  const operation = `${provider}.chat.completions.create`;
  return {
    timestamp: new Date(at).toISOString(), level: error ? 'ERROR' : 'INFO', message: `TRACE: ${operation}`,
    trace: { traceId, spanId: id(8), ...(parentSpanId && { parentSpanId }), operation, duration: `${ms}ms`, status: error ? 'ERROR' : 'OK', ...(error && { error }) },
    attributes: {
      'service.name': service, 'service.version': '1.0.0', 'llm.vendor': provider, 'llm.request.model': model, 'llm.request.temperature': 0.7,
      'llm.usage.prompt_tokens': tokens[0], 'llm.usage.completion_tokens': tokens[1], 'llm.usage.total_tokens': tokens[0] + tokens[1],
      'user.id': 'test-user', 'thread.id': 'test-thread-123', 'gen_ai.server.time_to_first_token': 0.3, ...attributes,
    },
    events: [{ name: 'llm.prompt', timestamp: at, attributes: { 'prompt.preview': 'Hello' } }],
  };
}

/** A chat turn around a call; `fallback`: a failed call before it. */
export function turn({ fallback = false, ms = 5000, ...rest } = {}) {
  const traceId = id(16), spanId = id(8), at = Date.now() - ms, service = rest.service ?? 'ai-storefront';
  const calls = [...(fallback ? [call({ ...rest, traceId, parentSpanId: spanId, error: 'HTTP 429: rate limit', at })] : []), call({ ...rest, traceId, parentSpanId: spanId, at })];
  return [...calls, {
    timestamp: new Date(at).toISOString(), level: 'INFO', message: 'TRACE: chat.continue_thread',
    trace: { traceId, spanId, operation: 'chat.continue_thread', duration: `${ms}ms`, status: 'OK' },
    attributes: { 'service.name': service, 'chat.thread_id': 'test-thread-123', 'chat.user_id': 'test-user', 'chat.turn_id': id(4), 'chat.message_count': 3 },
  }];
}

export const lines = (objects) => objects.map((object) => JSON.stringify(object)).join('\n') + '\n';

/**
 * A platform's door: keeps {path, headers, body, json, answered} of what it got. Answers `got.status`, 202 at first, or what that
 * makes of a request; with `got.headers` and `got.answer`, as JSON unless it is bytes.
 */
export async function platform(t, port = 0) {
  const got = Object.assign([], { status: 202, answer: {}, headers: {} });
  const server = createServer(async (request, response) => {
    const parts = [];
    for await (const part of request) parts.push(part);
    let body = Buffer.concat(parts);
    if (request.headers['content-encoding'] === 'gzip') body = gunzipSync(body);
    const json = body.length && (request.headers['content-type'] ?? '').startsWith('application/json') ? JSON.parse(body.toString()) : undefined;
    const one = { method: request.method, path: request.url, headers: request.headers, body, json };
    one.answered = typeof got.status === 'function' ? got.status(one) : got.status;
    response.writeHead(one.answered, { 'content-type': 'application/json', ...got.headers });
    response.end(Buffer.isBuffer(got.answer) ? got.answer : JSON.stringify(got.answer));
    got.push(one);
  }).listen(port, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => (server.closeAllConnections(), server.close()));
  got.url = `http://127.0.0.1:${server.address().port}`;
  got.until = async (found) => {
    for (let i = 0; i < 1200 && !found(got); i++) await new Promise((done) => setTimeout(done, 50));
    assert.ok(found(got), `what was waited for never came; got ${got.length} requests: ${got.map((g) => g.body).join('\n').slice(0, 2000)}`);
  };
  return got;
}

/** Datagrams of a server that got `spans`, taken apart; fails at one that is no DogStatsD. */
export async function statsdListener(t, args, spans) {
  const socket = createSocket('udp4'), datagrams = [];
  socket.on('message', (datagram) => datagrams.push(datagram));
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  t.after(() => socket.close());
  const v = await serve(t, { args: ['--statsd', `127.0.0.1:${socket.address().port}`, ...args] });
  await v.post('/ingest/logs', lines(spans));
  await v.post('/ingest/logs', lines([call({ service: 'the-end' })])); // what tells of it comes behind all else
  const isEnd = (datagram) => datagram.includes('the_end.');
  for (let i = 0; i < 1200 && !datagrams.some(isEnd); i++) await new Promise((done) => setTimeout(done, 50));
  assert.ok(datagrams.some(isEnd), `the last datagram did not come; ${datagrams.length} did`);
  const rest = datagrams.filter((datagram) => !isEnd(datagram));
  datagrams.splice(0, Infinity, ...rest);
  const metrics = datagrams.flatMap((datagram) => datagram.toString().split('\n').filter(Boolean)).map((text) => {
    const m = text.match(/^([A-Za-z_][\w.]*):(-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)\|(c|g|ms|h|d)(?:\|@(0?\.\d+|1))?(?:\|#([^|\n]+))?$/);
    assert.ok(m, `no DogStatsD: ${text}`);
    return { name: m[1], value: Number(m[2]), type: m[3], tags: m[5]?.split(',') ?? [] };
  });
  return { metrics, datagrams };
}
