// Calls through /proxy/NAME/…: they pass unchanged, and each leaves a span. The upstream is a server of the test's own, so that it can
// look at what reaches it and misbehave as it likes.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createServer } from 'node:http';
import { once } from 'node:events';
import { spawnSync } from 'node:child_process';
import { mkdir, readdir, readFile, rm, statfs, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { atEnd, serve, tempDir } from './lib/vitrine.mjs';

const KEY = 'sk-proj-never0to0be0stored0anywhere';

/** A server on a free port; `handle` gets (request, response, body as Buffer). */
async function upstream(t, handle) {
  const seen = [];
  const server = createServer(async (request, response) => {
    const pieces = [];
    try {
      for await (const piece of request) pieces.push(piece);
    } catch {
      return; // the proxy gave up
    }
    const body = Buffer.concat(pieces);
    seen.push({ method: request.method, url: request.url, headers: request.headers, body });
    await handle(request, response, body);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => { server.closeAllConnections(); server.close(); });
  return { seen, server, url: `http://127.0.0.1:${server.address().port}` };
}

const chatAnswer = (text, more = {}) => JSON.stringify({ id: 'chatcmpl-1', model: 'gpt-4o-2024-08-06',
  choices: [{ index: 0, message: { role: 'assistant', content: text }, finish_reason: 'stop' }],
  usage: { prompt_tokens: 19, completion_tokens: 7, total_tokens: 26, prompt_tokens_details: { cached_tokens: 4 } }, ...more });
const json = (response, text, status = 200, headers = {}) => response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(text);
const chunk = (delta, finish_reason = null) => `data: ${JSON.stringify({ id: 'c1', model: 'gpt-4o', choices: [{ index: 0, delta, finish_reason }] })}\n\n`;

const chat = (v, body = {}, { headers = {}, signal, path = '/proxy/openai/v1/chat/completions' } = {}) => v.fetch(path, {
  method: 'POST', signal, headers: { authorization: `Bearer ${KEY}`, 'content-type': 'application/json', ...headers },
  body: typeof body === 'string' ? body : JSON.stringify({ model: 'gpt-4o', messages: [{ role: 'user', content: 'Which jacket for rain?' }], ...body }) });

/** The spans of all traces, once there are `count`. */
async function spans(v, count) {
  const { traces } = await v.until('/api/v1/traces?limit=1000', ({ traces }) => traces.reduce((n, t) => n + t.span_count, 0) >= count);
  return (await Promise.all(traces.map((t) => v.get(`/api/v1/traces/${t.trace_id}`)))).flatMap((t) => t.spans);
}
const proxy = (t, up, ...args) => serve(t, { grpc: false, args: ['--upstream', `openai=${up.url}`, ...args] });

test('a call passes as it is, and its span says what was asked, answered, by whom, and for how much', async (t) => {
  const up = await upstream(t, (_, response) => json(response, chatAnswer('Alpine Shell.'), 200,
    { 'x-request-id': 'req_7', 'x-ratelimit-remaining-requests': '99', connection: 'keep-alive, x-hop', 'x-hop': '1' }));
  const v = await proxy(t, up);
  const response = await chat(v, { temperature: 0.3, user: 'from-the-body' }, { path: '/proxy/openai/v1/chat/completions?api-version=1&x=%2F', headers: {
    'x-vitrine-user': 'ada', 'x-vitrine-thread': 't-1', 'x-vitrine-property-Plan': 'pro', 'helicone-property-tier': '2', 'x-vitrine-service': 'shop', 'openai-organization': 'org-1', te: 'trailers' } });
  assert.equal(response.status, 200);
  assert.equal(await response.text(), chatAnswer('Alpine Shell.'));
  assert.equal(response.headers.get('x-ratelimit-remaining-requests'), '99');
  assert.equal(response.headers.get('x-hop'), null, 'what Connection names ends at the proxy');

  const [asked] = up.seen;
  assert.deepEqual([asked.method, asked.url], ['POST', '/v1/chat/completions?api-version=1&x=%2F']);
  assert.equal(asked.headers.authorization, `Bearer ${KEY}`);
  assert.equal(asked.headers['openai-organization'], 'org-1');
  assert.equal(asked.headers.host, new URL(up.url).host);
  for (const name of Object.keys(asked.headers)) assert.doesNotMatch(name, /^(x-vitrine|helicone|te$|transfer-encoding)/);
  assert.equal(JSON.parse(asked.body).temperature, 0.3);

  const [span] = await spans(v, 1);
  assert.equal(span.operation, 'chat gpt-4o');
  assert.deepEqual([span.kind, span.status, span.provider, span.model, span.service], ['llm', 'OK', 'openai', 'gpt-4o', 'shop']);
  assert.deepEqual([span.user_id, span.thread_id, span.finish_reason, span.temperature], ['ada', 't-1', 'stop', 0.3]);
  assert.deepEqual([span.tokens.input, span.tokens.output, span.tokens.cached], [19, 7, 4]);
  assert.ok(Math.abs(span.cost_usd - (15 * 2.5 + 4 * 1.25 + 7 * 10) / 1e6) < 1e-9, `cost ${span.cost_usd}`);
  assert.deepEqual(span.prompt, [{ role: 'user', content: 'Which jacket for rain?' }]);
  assert.deepEqual(span.completion, [{ role: 'assistant', content: 'Alpine Shell.' }]);
  assert.equal(span.attributes['property.plan'], 'pro');
  assert.equal(span.attributes['property.tier'], '2');
  assert.equal(span.attributes['gen_ai.response.model'], 'gpt-4o-2024-08-06');
  assert.equal(span.attributes['http.response.header.x-request-id'], 'req_7');
  assert.equal(span.attributes['url.path'], '/v1/chat/completions');
});

test('a stream comes piece by piece, as upstream sends it', async (t) => {
  let goOn;
  const first = new Promise((done) => (goOn = done));
  const up = await upstream(t, async (_, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write(chunk({ role: 'assistant', content: '' }) + chunk({ content: 'Alpine ' }));
    await first; // the end is held back until the test has read the beginning
    response.write(chunk({ content: 'Shell.' }) + chunk({}, 'stop'));
    response.write(`data: ${JSON.stringify({ id: 'c1', choices: [], usage: { prompt_tokens: 11, completion_tokens: 5 } })}\n\n`);
    response.end('data: [DONE]\n\n');
  });
  const v = await proxy(t, up);
  const reader = (await chat(v, { stream: true })).body.getReader();
  let text = '';
  while (!text.includes('Alpine ')) text += Buffer.from((await reader.read()).value);
  assert.ok(!text.includes('Shell'));
  goOn();
  for (let piece; !(piece = await reader.read()).done;) text += Buffer.from(piece.value);
  assert.ok(text.endsWith('data: [DONE]\n\n'));
  const [span] = await spans(v, 1);
  assert.deepEqual(span.completion, [{ role: 'assistant', content: 'Alpine Shell.' }]);
  assert.deepEqual([span.tokens.input, span.tokens.output, span.finish_reason], [11, 5, 'stop']);
  assert.ok(span.ttft_ms > 0 && span.ttft_ms <= span.duration_ms);
  assert.notEqual(span.estimated, true);
});

test('a stream without usage has estimated tokens, and says so', async (t) => {
  const up = await upstream(t, (_, response) => response.writeHead(200, { 'content-type': 'text/event-stream' })
    .end(chunk({ content: 'The Alpine Shell keeps the rain out.' }) + chunk({}, 'stop') + 'data: [DONE]\n\n'));
  const v = await proxy(t, up);
  await (await chat(v, { stream: true })).text();
  const [span] = await spans(v, 1);
  assert.equal(span.estimated, true);
  assert.ok(span.tokens.output > 0);
});

test('an error of upstream reaches the caller untouched, and is the error of the span', async (t) => {
  const body = JSON.stringify({ error: { message: `Rate limit reached for key ${KEY}`, type: 'requests', code: 'rate_limit_exceeded' } });
  const up = await upstream(t, (_, response) => json(response, body, 429, { 'retry-after': '7' }));
  const v = await proxy(t, up);
  const response = await chat(v);
  assert.deepEqual([response.status, response.headers.get('retry-after'), await response.text()], [429, '7', body]);
  const [span] = await spans(v, 1);
  assert.equal(span.status, 'ERROR');
  assert.equal(span.error, 'Rate limit reached for key [key]');
  assert.equal(span.attributes['http.response.status_code'], 429);
  assert.equal(span.attributes['error.type'], 'requests');
  assert.equal(span.tokens, undefined);
});

test('an upstream that is away is 502, one that is silent 504; both leave a span', async (t) => {
  const up = await upstream(t, () => {});
  const v = await serve(t, { grpc: false, args: ['--upstream', 'openai=http://127.0.0.1:9', '--upstream', `mute=${up.url}`, '--proxy-timeout', '300ms'] });
  const away = await chat(v);
  assert.equal(away.status, 502);
  assert.equal((await away.json()).error.code, 'upstream_unreachable');
  const mute = await chat(v, {}, { path: '/proxy/mute/v1/chat/completions' });
  assert.equal(mute.status, 504);
  const { error } = await mute.json();
  assert.equal(error.code, 'upstream_timeout');
  assert.match(error.message, /mute/);
  const all = await spans(v, 2);
  assert.deepEqual(all.map((s) => [s.status, s.attributes['error.type']]).sort(), [['ERROR', 'upstream_timeout'], ['ERROR', 'upstream_unreachable']]);
});

test('an answer that breaks off is broken for the caller too, and the span has what came', async (t) => {
  const up = await upstream(t, (_, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write(chunk({ content: 'Alpine' }), () => response.destroy());
  });
  const v = await proxy(t, up);
  const response = await chat(v, { stream: true });
  await assert.rejects(response.text());
  const [span] = await spans(v, 1);
  assert.deepEqual([span.status, span.attributes['error.type']], ['ERROR', 'upstream_closed']);
  assert.match(JSON.stringify(span.completion), /Alpine/);
});

for (const when of ['before the answer', 'in the middle of a stream']) {
  test(`a client that goes ${when} ends the call to upstream`, async (t) => {
    const abort = new AbortController();
    let closed;
    const gone = new Promise((done) => (closed = done));
    const up = await upstream(t, (request, response) => {
      response.on('close', closed);
      if (when === 'before the answer') return abort.abort();
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write(chunk({ content: 'Alpine' })); // and nothing more, ever
    });
    const v = await proxy(t, up);
    const call = (async () => {
      const response = await chat(v, { stream: true }, { signal: abort.signal });
      const reader = response.body.getReader();
      await reader.read();
      abort.abort();
      await reader.read();
    })();
    await assert.rejects(call, { name: 'AbortError' });
    await gone; // upstream saw it
    const [span] = await spans(v, 1);
    assert.deepEqual([span.status, span.attributes['error.type']], ['ERROR', 'client_closed']);
  });
}

test('large bodies pass byte by byte; the span keeps their counts and says that it is not whole', async (t) => {
  const image = 'A'.repeat(6 << 20);
  const data = Array.from({ length: 3000 }, (_, i) => ({ index: i, embedding: Array.from({ length: 96 }, (_, k) => Math.fround(Math.sin(i * 96 + k))) }));
  const answer = JSON.stringify({ object: 'list', data, model: 'text-embedding-3-small', usage: { prompt_tokens: 24000, total_tokens: 24000 } });
  assert.ok(answer.length > 5 << 20);
  const up = await upstream(t, (request, response) => (request.url.endsWith('/embeddings') ? json(response, answer) : json(response, chatAnswer('A cat.'))));
  const v = await proxy(t, up);
  const got = await chat(v, JSON.stringify({ model: 'text-embedding-3-small', input: ['a', 'b'] }), { path: '/proxy/openai/v1/embeddings' });
  assert.equal(await got.text(), answer);
  const seen = await chat(v, { messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url: `data:image/png;base64,${image}` } }] }] });
  assert.equal(seen.status, 200);
  await seen.text();
  assert.ok(up.seen[1].body.includes(image));
  const all = await spans(v, 2);
  const embedding = all.find((s) => s.kind === 'embedding');
  assert.deepEqual([embedding.operation, embedding.tokens.input], ['embeddings text-embedding-3-small', 24000]);
  assert.equal(embedding.attributes['vitrine.truncated'], true);
  const picture = all.find((s) => s.kind === 'llm');
  assert.deepEqual([picture.model, picture.tokens.output, picture.attributes['vitrine.truncated']], ['gpt-4o', 7, true]);

  const refused = await chat(v, 'x'.repeat(17 << 20));
  assert.equal(refused.status, 413);
  await refused.text();
});

test('many calls at once each get their own answer and their own span', async (t) => {
  const up = await upstream(t, (_, response, body) => {
    const { messages } = JSON.parse(body);
    setTimeout(() => json(response, chatAnswer(`answer to ${messages[0].content}`)), Math.random() * 20);
  });
  const v = await proxy(t, up);
  await Promise.all(Array.from({ length: 200 }, async (_, i) => {
    const response = await chat(v, { messages: [{ role: 'user', content: `question ${i}` }] });
    assert.equal((await response.json()).choices[0].message.content, `answer to question ${i}`);
  }));
  const all = await spans(v, 200);
  assert.equal(new Set(all.map((s) => s.trace_id)).size, 200);
  for (const span of all) assert.equal(span.completion[0].content, `answer to ${span.prompt[0].content}`);
});

test('past --proxy-calls a caller is told to come again', async (t) => {
  let held;
  const up = await upstream(t, (_, response) => (held = response));
  const v = await proxy(t, up, '--proxy-calls', '1');
  const first = chat(v);
  while (!held) await new Promise((done) => setTimeout(done, 10));
  const second = await chat(v);
  assert.deepEqual([second.status, second.headers.get('retry-after')], [503, '1']);
  assert.equal((await second.json()).error.code, 'full');
  json(held, chatAnswer('at last'));
  assert.equal((await first).status, 200);
});

test('a traceparent makes the span a child, and goes on with the span as the parent', async (t) => {
  const up = await upstream(t, (_, response) => json(response, chatAnswer('ok')));
  const v = await proxy(t, up);
  const [trace, parent] = ['4bf92f3577b34da6a3ce929d0e0e4736', '00f067aa0ba902b7'];
  await (await chat(v, {}, { headers: { traceparent: `00-${trace}-${parent}-01`, tracestate: 'a=b', baggage: 'user.id=ada%20l,session.id=s9' } })).text();
  const [span] = await spans(v, 1);
  assert.deepEqual([span.parent_span_id, span.user_id, span.thread_id], [parent, 'ada l', 's9']);
  assert.equal(up.seen[0].headers.traceparent, `00-${trace}-${span.span_id}-01`);
  assert.equal(up.seen[0].headers.tracestate, 'a=b');
  const { trace_id } = await v.get(`/api/v1/traces/${trace}`);
  assert.equal(trace_id, trace);
});

test('paths that are no call of a model pass without a span; unknown upstreams and ways out of the path do not pass', async (t) => {
  const up = await upstream(t, (request, response) => json(response, JSON.stringify({ method: request.method, url: request.url })));
  const v = await serve(t, { grpc: false, args: ['--upstream', `openai=${up.url}/base/`] });
  assert.deepEqual(await v.get('/proxy/openai/v1/models?limit=2'), { method: 'GET', url: '/base/v1/models?limit=2' });
  for (const method of ['DELETE', 'PUT', 'PATCH']) assert.equal((await (await v.fetch('/proxy/openai/v1/files/f1', { method })).json()).method, method);
  const head = await v.fetch('/proxy/openai/v1/models', { method: 'HEAD' });
  assert.deepEqual([head.status, up.seen.at(-1).method], [200, 'HEAD']);
  await chat(v).then((r) => r.text());
  assert.equal((await spans(v, 1)).length, 1);
  const nobody = await v.fetch('/proxy/nobody/v1/models');
  assert.equal(nobody.status, 404);
  assert.match((await nobody.json()).error.hint, /openai/);
  const before = up.seen.length;
  assert.equal((await v.fetch('/proxy/openai/v1/%2e%2e%2fadmin')).status, 400);
  assert.equal(up.seen.length, before);
});

test("Vitrine's own key comes in a header of its own, and goes no further", async (t) => {
  const up = await upstream(t, (_, response) => json(response, chatAnswer('ok')));
  const open = await proxy(t, up);
  const { key } = await open.post('/api/v1/keys', { name: 'shop', scopes: 'ingest', project: 'shop' });
  const reader = await open.post('/api/v1/keys', { name: 'reader', scopes: 'read' });
  await open.stop();
  const v = await serve(t, { dir: open.dir, grpc: false, args: ['--upstream', `openai=${up.url}`, '--require-key'] });
  assert.equal((await chat(v)).status, 401);
  assert.equal((await chat(v, {}, { headers: { 'x-vitrine-key': 'vt_wrong' } })).status, 401);
  assert.equal((await chat(v, {}, { headers: { 'x-vitrine-key': reader.key } })).status, 403);
  const misplaced = await chat(v, {}, { headers: { authorization: `Bearer ${key}` } });
  assert.equal(misplaced.status, 400);
  assert.match((await misplaced.json()).error.hint, /x-vitrine-key/);
  assert.equal(up.seen.length, 0, 'nothing of this reached upstream');
  const good = await chat(v, {}, { headers: { 'x-vitrine-key': key } });
  assert.equal(good.status, 200);
  await good.text();
  assert.equal(up.seen[0].headers['x-vitrine-key'], undefined);
  const seen = await v.until('/api/v1/export?format=ndjson', (text) => JSON.stringify(text).includes('gpt-4o'), { headers: { 'x-api-key': reader.key } });
  assert.match(typeof seen === 'string' ? seen : JSON.stringify(seen), /"project":"shop"/);
});

test('the key of a provider is nowhere: not in the data, the log, the API or the metrics', async (t) => {
  const up = await upstream(t, (_, response) => json(response, JSON.stringify({ error: { message: `Incorrect API key provided: ${KEY}.`, type: `bad ${KEY}` } }), 401));
  const v = await proxy(t, up, '--log-level', 'debug');
  await (await chat(v)).text();
  await (await chat(v, {}, { path: '/proxy/openai/v1/messages', headers: { authorization: '', 'x-api-key': KEY } })).text();
  await (await chat(v, {}, { path: `/proxy/openai/v1/chat/completions?key=${KEY}`, headers: { 'api-key': KEY } })).text();
  await spans(v, 3);
  for (const path of ['/api/v1/export?format=ndjson', '/metrics', '/api/v1/status', '/api/v1/live', '/api/v1/facets'])
    assert.ok(!(await (await v.fetch(path)).text()).includes('never0to0be'), path);
  assert.equal((await v.stop()).code, 0);
  assert.ok(!v.log.includes('never0to0be'), v.log);
  for (const file of await readdir(v.dir, { recursive: true, withFileTypes: true }))
    if (file.isFile()) assert.ok(!(await readFile(join(file.parentPath ?? file.path, file.name))).includes('never0to0be'), file.name);
});

test('what is under way when the server stops is finished, and its span is on disk', async (t) => {
  let held;
  const up = await upstream(t, (_, response) => (held = response));
  const v = await proxy(t, up);
  const call = chat(v).then(async (r) => [r.status, await r.text()]);
  while (!held) await new Promise((done) => setTimeout(done, 10));
  const stopped = v.stop();
  json(held, chatAnswer('just in time'));
  assert.equal((await call)[0], 200);
  assert.deepEqual(await stopped, { code: 0, signal: null });
  const again = await serve(t, { dir: v.dir, grpc: false });
  const [span] = await spans(again, 1);
  assert.equal(span.completion[0].content, 'just in time');
});

/** A data directory on a disk of its own that can be filled; undefined without the right to mount one. */
async function smallDisk(t) {
  const disk = join(await tempDir(t), 'disk');
  atEnd(t, () => spawnSync('umount', ['-l', disk]));
  await mkdir(disk);
  if (spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=192m', 'tmpfs', disk]).status !== 0) return t.skip('no right to mount a small disk here');
  const filler = join(disk, 'filler');
  return {
    dir: join(disk, 'data'),
    async fill(v) {
      const { bavail, bsize } = await statfs(disk);
      await writeFile(filler, Buffer.alloc(bavail * bsize - (256 << 10)));
      await until(async () => (await v.fetch('/readyz')).status === 503);
    },
    free: () => rm(filler),
  };
}

async function until(found) {
  for (const end = Date.now() + 30_000; !(await found());) {
    if (Date.now() > end) throw new Error(`never came: ${found}`);
    await new Promise((done) => setTimeout(done, 20));
  }
}
const metric = async (v, name) => Number((await (await v.fetch('/metrics')).text()).match(new RegExp(`^${name} (\\S+)`, 'm'))[1]);
/** A call whose span takes a MiB. */
const largeCall = async (v) => { const response = await chat(v, { messages: [{ role: 'user', content: 'x'.repeat(1 << 20) }] }); await response.text(); return response; };

test('while the store takes nothing calls wait for room for their spans, and none is lost', { timeout: 120_000 }, async (t) => {
  const disk = await smallDisk(t);
  if (!disk) return;
  const up = await upstream(t, (_, response) => json(response, chatAnswer('ok')));
  const v = await serve(t, { dir: disk.dir, grpc: false, args: ['--upstream', `openai=${up.url}`, '--proxy-span-wait', '60s', '--threads', '1'] });
  await disk.fill(v);
  for (let i = 0; i < 20; i++) {
    if (await Promise.race([largeCall(v).then((r) => assert.equal(r.status, 200)), until(async () => (await metric(v, 'vitrine_proxy_calls_waited_total')) > 0).then(() => 'waits')]) === 'waits') break;
  }
  const reached = up.seen.length;
  assert.ok(reached >= 3 && reached < 20, `${reached} have gone up`);
  const more = Array.from({ length: 36 }, () => largeCall(v));
  await until(async () => (await metric(v, 'vitrine_proxy_calls_waited_total')) >= 36);
  assert.equal(up.seen.length, reached, 'what waits has not gone up');
  await disk.free();
  for (const response of await Promise.all(more)) assert.deepEqual([response.status, response.headers.get('x-vitrine-span')], [200, null]);
  await until(async () => (await metric(v, 'vitrine_proxy_calls_open')) === 0);
  assert.equal((await spans(v, up.seen.length)).length, up.seen.length);
  assert.equal(await metric(v, 'vitrine_proxy_spans_lost_total'), 0);
});

for (const strict of [false, true]) {
  test(`when the store takes nothing for long, calls are ${strict ? 'refused (--proxy-strict)' : 'passed and say that they are not recorded'}`, { timeout: 120_000 }, async (t) => {
    const disk = await smallDisk(t);
    if (!disk) return;
    const up = await upstream(t, (_, response) => json(response, chatAnswer('ok')));
    const v = await serve(t, { dir: disk.dir, grpc: false, args: ['--upstream', `openai=${up.url}`, '--proxy-span-wait', '100ms', '--threads', '1', ...(strict ? ['--proxy-strict'] : [])] });
    await disk.fill(v);
    const without = (response) => (strict ? response.status === 503 && response.headers.get('retry-after') === '1' : response.headers.get('x-vitrine-span') === 'lost' && response.status === 200);
    let recorded = 0, lost = 0;
    while (lost < 3 && recorded < 60) without(await largeCall(v)) ? lost++ : recorded++;
    assert.equal(lost, 3);
    assert.equal(await metric(v, 'vitrine_proxy_spans_lost_total'), strict ? 0 : 3);
    if (!strict) assert.match(v.log, /spans are lost/);
    await disk.free();
    assert.equal((await spans(v, recorded)).length, recorded);
    await until(async () => !without(await largeCall(v))); // it recovers by itself
  });
}
