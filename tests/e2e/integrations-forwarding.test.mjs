// Forwarding to a receiver that is away, busy, small or choosy, with restarts and kills of the server in between: everything
// arrives, once it can, and nothing is hammered.
import test from 'node:test';
import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort, serve, tempDir } from './lib/vitrine.mjs';
import { call, lines, platform } from './lib/storefront.mjs';

/** Which numbers each target's request holds, in the order in which they came. */
const numbersIn = {
  datadog: ({ json }) => json.map((log) => log.span.attributes.number),
  newrelic: ({ json: [{ logs }] }) => logs.map((log) => log.attributes['attributes.number']),
  otlp: ({ body }) => [...body.toString('latin1').matchAll(/number=(\d+);/g)].map((m) => Number(m[1])), // of a text, which protobuf keeps as it is
};
let count = 0;
/** Lines of `n` calls, numbered on from all others of this file; `bytes` long each. */
const calls = (n, bytes = 0) => Array.from({ length: n }, () => call({ attributes: { number: count, text: `number=${count++};${'x'.repeat(bytes)}` } }));
const numbers = (sent) => sent.map((line) => line.attributes.number);
const args = (kind, url) => ['--forward', `${kind}=${url}`];
const env = { DD_API_KEY: 'k', NEW_RELIC_API_KEY: 'k' };
const metric = async (v, name) => Number((await v.get('/metrics')).match(new RegExp(`^vitrine_forward_${name}\\{.*\\} (\\d+)$`, 'm'))?.[1] ?? NaN);
const until = async (ask) => {
  for (let i = 0; i < 1200 && !(await ask()); i++) await new Promise((done) => setTimeout(done, 50));
  assert.ok(await ask(), String(ask));
};

for (const kind of ['otlp', 'datadog', 'newrelic'])
  test(`Forwarding to ${kind}: a receiver that is away gets everything once it is back, the oldest first, after a stop and a kill of the server`, async (t) => {
    const dir = await tempDir(t), port = await freePort(), url = `http://127.0.0.1:${port}`, sent = [];
    for (const end of ['stop', 'kill', 'stop']) {
      const v = await serve(t, { dir, args: args(kind, url), env, grpc: false });
      const more = calls(30);
      await v.post('/ingest/logs', lines(more));
      sent.push(...more);
      await until(async () => (await metric(v, 'spans_queued_total')) === more.length);
      await v[end]();
    }
    assert.equal((await readdir(join(dir, 'forward', `${kind}-1`))).length, 3, 'each run left a request');
    const door = await platform(t, port), v = await serve(t, { dir, args: args(kind, url), env, grpc: false });
    door.status = 200;
    await door.until((got) => got.flatMap(numbersIn[kind]).length >= sent.length);
    assert.deepEqual(door.flatMap(numbersIn[kind]).filter((number, i, all) => all.indexOf(number) === i), numbers(sent));
    await until(async () => (await metric(v, 'queue_bytes')) === 0);
    assert.equal(door.length, 3);
    assert.equal(await metric(v, 'spans_dropped_total'), 0);
  });

test('Forwarding: 429 with Retry-After is waited for, and nothing is sent in between', async (t) => {
  const door = await platform(t), v = await serve(t, { args: args('otlp', door.url), grpc: false });
  door.status = 429;
  door.headers = { 'retry-after': '2' };
  const first = calls(5), began = Date.now();
  await v.post('/ingest/logs', lines(first));
  await door.until((got) => got.length === 1);
  const more = calls(5);
  await v.post('/ingest/logs', lines(more));
  door.status = 200;
  await door.until((got) => got.length === 3);
  assert.ok(Date.now() - began >= 2000, 'as long as it asked for');
  assert.deepEqual(door.map(numbersIn.otlp), [numbers(first), numbers(first), numbers(more)]);
  assert.match(v.log, /forwarding to otlp-1 waits: it answered 429/);
  assert.match(v.log, /forwarding to otlp-1 goes on/);
});

for (const kind of ['otlp', 'datadog', 'newrelic'])
  test(`Forwarding to ${kind}: a receiver that finds requests too large gets them in parts, and what fits in no request alone is let go`, async (t) => {
    const door = await platform(t), v = await serve(t, { args: args(kind, door.url), env, grpc: false });
    door.status = ({ body }) => (body.length > 60_000 ? 413 : 200); // about 20 of these spans, unpacked
    const sent = calls(100, 1000), giant = calls(1, 70_000);
    await v.post('/ingest/logs', lines([...sent.slice(0, 50), ...giant, ...sent.slice(50)]));
    const taken = () => door.filter((got) => got.answered === 200).flatMap(numbersIn[kind]);
    await until(() => taken().length >= 100);
    assert.deepEqual(taken().sort((a, b) => a - b), numbers(sent));
    await until(async () => (await metric(v, 'spans_dropped_total')) === 1);
    const before = door.length;
    const later = calls(100, 1000);
    await v.post('/ingest/logs', lines(later));
    await until(() => taken().length >= 200);
    assert.ok(door.slice(before).every((got) => got.answered === 200), 'it has been learnt what fits');
  });

test('Forwarding: what a receiver takes only in part is counted, told and not sent again', async (t) => {
  const door = await platform(t), v = await serve(t, { args: args('otlp', door.url), grpc: false });
  const said = 'no room for two';
  door.status = 200;
  door.headers = { 'content-type': 'application/x-protobuf' };
  door.answer = Buffer.concat([Buffer.from([0x0a, 4 + said.length, 0x08, 2, 0x12, said.length]), Buffer.from(said)]);
  await v.post('/ingest/logs', lines(calls(5)));
  await until(async () => (await metric(v, 'spans_dropped_total')) === 2);
  assert.match(v.log, /forwarding to otlp-1: spans are dropped: it took a part: no room for two/);
  door.answer = Buffer.alloc(0);
  await v.post('/ingest/logs', lines(calls(5)));
  await door.until((got) => got.length === 2);
  assert.deepEqual([await metric(v, 'requests_sent_total'), await metric(v, 'spans_dropped_total')], [2, 2]);
});

test('Forwarding: what a receiver will never take does not hold up the rest', async (t) => {
  const door = await platform(t), v = await serve(t, { args: args('datadog', door.url), env, grpc: false });
  door.status = 400;
  await v.post('/ingest/logs', lines(calls(3)));
  await until(async () => (await metric(v, 'requests_refused_total')) === 1);
  door.status = 202;
  const next = calls(3);
  await v.post('/ingest/logs', lines(next));
  await door.until((got) => got.length === 2);
  assert.deepEqual(numbersIn.datadog(door[1]), numbers(next));
  assert.equal(await metric(v, 'spans_dropped_total'), 3);
});
