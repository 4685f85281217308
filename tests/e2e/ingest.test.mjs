// Spans over HTTP into the real program: what was answered is there after a stop, a full disk, and a second signal.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { spawnSync } from 'node:child_process';
import { readFile, writeFile, rm, mkdir, statfs } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { once } from 'node:events';
import { randomBytes } from 'node:crypto';
import { atEnd, certificate, root, run, serve, tempDir } from './lib/vitrine.mjs';
import { exportRequest, llmSpan, protobuf } from './lib/otlp.mjs';

const PAGE_WAIT_MS = 60_000;

test('OTLP in gzip is answered when durable, and there after a restart', async (t) => {
  const dir = await tempDir(t);
  let v = await serve(t, { dir });
  const { body, traceIds } = exportRequest([llmSpan('one'), llmSpan('two')]);
  const response = await v.fetch('/v1/traces', { method: 'POST', headers: { ...protobuf, 'content-encoding': 'gzip' }, body: gzipSync(body) });
  assert.equal(response.status, 200);
  assert.equal(response.headers.get('content-type'), 'application/x-protobuf');
  assert.equal((await response.arrayBuffer()).byteLength, 0);
  assert.deepEqual(await v.stop(), { code: 0, signal: null });
  v = await serve(t, { dir });
  for (const id of traceIds) assert.equal((await v.get(`/api/v1/traces/${id}`)).spans[0].model, 'gpt-4o');
});

test('the console text of the storefront becomes whole traces', async (t) => {
  const v = await serve(t);
  const answer = await v.post('/ingest/logs', await readFile(join(root, 'tests/samples/storefront-console.txt')));
  assert.ok(answer.accepted > 0);
  assert.equal(answer.rejected, 0);
  const { traces } = await v.get('/api/v1/traces?from=2020-01-01&limit=1000');
  assert.equal(traces.reduce((sum, trace) => sum + trace.span_count, 0), answer.accepted);
});

const holdsABody = (v) => v.until('/api/v1/status', (status) => /"bodies_bytes":[1-9]/.test(JSON.stringify(status)));

test('a sender that is slow when SIGTERM comes may finish, and is answered', async (t) => {
  const dir = await tempDir(t);
  const v = await serve(t, { dir });
  const { body, traceIds } = exportRequest([llmSpan('late')]);
  const socket = connect(v.port, '127.0.0.1');
  await once(socket, 'connect');
  socket.write(`POST /v1/traces HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-protobuf\r\nContent-Length: ${body.length}\r\n\r\n`);
  socket.write(body.subarray(0, 10));
  await holdsABody(v);
  v.child.kill('SIGTERM');
  while (!/a second one ends at once/.test(v.log)) await new Promise((done) => setTimeout(done, 20));
  socket.write(body.subarray(10));
  const [answer] = await once(socket, 'data');
  assert.match(answer.toString(), /^HTTP\/1\.1 200 /);
  assert.deepEqual(await v.exit, { code: 0, signal: null });
  const again = await serve(t, { dir });
  assert.equal((await again.get(`/api/v1/traces/${traceIds[0]}`)).spans.length, 1);
});

test('a second signal ends the program at once', async (t) => {
  const v = await serve(t, { args: ['--stop-timeout', '60s'] });
  const socket = connect(v.port, '127.0.0.1'); // never finishes what it begins
  await once(socket, 'connect');
  socket.on('error', () => {});
  socket.write('POST /v1/traces HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{');
  await holdsABody(v);
  v.child.kill('SIGTERM');
  while (!/a second one ends at once/.test(v.log)) await new Promise((done) => setTimeout(done, 20));
  v.child.kill('SIGTERM');
  assert.deepEqual(await v.exit, { code: 1, signal: null });
  socket.destroy();
});

test('a full disk is 503 with Retry-After; questions are answered; it recovers by itself', async (t) => {
  const disk = join(await tempDir(t), 'disk');
  atEnd(t, () => spawnSync('umount', ['-l', disk]));
  await mkdir(disk);
  if (spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=32m', 'tmpfs', disk]).status !== 0) return t.skip('no right to mount a small disk here');
  const v = await serve(t, { dir: join(disk, 'data') });
  const { body, traceIds } = exportRequest([llmSpan('before')]);
  assert.equal((await v.fetch('/v1/traces', { method: 'POST', headers: protobuf, body })).status, 200);
  const { bavail, bsize } = await statfs(disk);
  await writeFile(join(disk, 'filler'), Buffer.alloc(bavail * bsize - (256 << 10)));
  await until(async () => (await v.fetch('/readyz')).status === 503);
  const refused = await v.fetch('/v1/traces', { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"resourceSpans":[{"scopeSpans":[{"spans":[' + JSON.stringify({ traceId: '1'.repeat(32), spanId: '2'.repeat(16), name: 'full', startTimeUnixNano: String(Date.now() * 1e6), endTimeUnixNano: String(Date.now() * 1e6) }) + ']}]}]}' });
  assert.equal(refused.status, 503);
  assert.ok(refused.headers.get('retry-after'));
  const status = await refused.json();
  assert.equal(status.code, 14);
  assert.match(status.message, /full/);
  assert.equal((await v.get(`/api/v1/traces/${traceIds[0]}`)).spans.length, 1);
  assert.equal((await v.get('/api/v1/status')).store.disk_full, true);
  await rm(join(disk, 'filler'));
  await until(async () => (await v.fetch('/readyz')).status === 200);
  assert.equal((await v.fetch('/v1/traces', { method: 'POST', headers: protobuf, body: exportRequest([llmSpan('after')]).body })).status, 200);
});

test('senders fill a small disk: nothing that was acknowledged is lost, by the full disk or by kill -9 at it', { timeout: 600_000 }, async (t) => {
  const disk = join(await tempDir(t), 'disk');
  atEnd(t, () => spawnSync('umount', ['-l', disk]));
  await mkdir(disk);
  if (spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=24m', 'tmpfs', disk]).status !== 0) return t.skip('no right to mount a small disk here');
  const dir = join(disk, 'data');
  const args = ['--seal-bytes', '1MiB'];
  let v = await serve(t, { dir, args });
  const acknowledged = [];
  const noise = () => randomBytes(15_000).toString('base64'); // what no codec makes small
  const send = async () => {
    const { body, traceIds } = exportRequest(Array.from({ length: 8 }, (_, i) => llmSpan(`s${i}`, { 'gen_ai.input.messages': noise() })));
    const answer = await v.fetch('/v1/traces', { method: 'POST', headers: protobuf, body });
    if (answer.status === 200) acknowledged.push(...traceIds);
    await answer.arrayBuffer();
    return answer;
  };
  const count = async () => (await v.post('/api/v1/sql', { sql: 'SELECT count(DISTINCT trace_id), count(*) FROM spans' })).rows[0];
  const fill = async () => {
    for (let n = 0; n < 2000; n++) {
      const answer = await send();
      if (answer.status === 200) continue;
      assert.equal(answer.status, 503);
      assert.ok(answer.headers.get('retry-after'));
      return;
    }
    assert.fail('the disk never filled up');
  };
  await writeFile(join(disk, 'filler'), Buffer.alloc(8 << 20));
  await fill();
  assert.ok(acknowledged.length > 100, `only ${acknowledged.length} spans were taken`);
  assert.deepEqual(await count(), [acknowledged.length, acknowledged.length]); // it answers while it is full
  await v.kill();
  v = await serve(t, { dir, args }); // and starts on a full disk
  assert.deepEqual(await count(), [acknowledged.length, acknowledged.length]);
  const full = acknowledged.length;
  await rm(join(disk, 'filler'));
  await until(async () => (await v.fetch('/readyz')).status === 200 && (await send()).status === 200);
  assert.ok(acknowledged.length > full);
  assert.deepEqual(await count(), [acknowledged.length, acknowledged.length]);
  assert.deepEqual(await v.stop(), { code: 0, signal: null });
  v = await serve(t, { dir, args });
  assert.deepEqual(await count(), [acknowledged.length, acknowledged.length]);
});

test('HTTPS with a certificate of its own', async (t) => {
  const { dir, cert, key } = await certificate(t);
  const v = await serve(t, { args: ['--tls-cert', cert, '--tls-key', key] });
  assert.match(v.url, /^https:/);
  const { code, stdout, stderr } = await run(['-sS', '--cacert', cert, '-w', '%{http_code} ', `${v.url}/healthz`], { command: 'curl' });
  assert.equal(code, 0, stderr);
  assert.match(stdout, /"ok"/);
  const bad = await run(['serve', '--listen', '127.0.0.1:0', '--grpc', '', '--data', join(dir, 'other'), '--tls-cert', cert]);
  assert.notEqual(bad.code, 0);
  assert.match(bad.stderr, /--tls-key/);
});

test('what the server describes of itself is valid and there', async (t) => {
  const v = await serve(t);
  const api = await v.get('/api/openapi.json');
  assert.equal(api.openapi, '3.1.0');
  for (const [path, item] of Object.entries(api.paths)) {
    const named = [...path.matchAll(/\{(\w+)\}/g)].map((match) => match[1]);
    for (const [method, operation] of Object.entries(item)) {
      assert.ok(operation.summary && operation.responses.default, `${method} ${path}`);
      const inPath = (operation.parameters ?? []).filter((parameter) => parameter.in === 'path');
      assert.deepEqual(inPath.map((parameter) => parameter.name), named, path);
      assert.ok(inPath.every((parameter) => parameter.required));
      const asked = await v.fetch(path.replace(/\{\w+\}/g, 'nothing'), { method: method.toUpperCase(), body: method === 'get' ? undefined : 'x' });
      assert.notEqual(asked.status, 405, `${method} ${path}`);
      await asked.arrayBuffer();
    }
  }
  const metrics = await (await v.fetch('/metrics')).text();
  assert.match(metrics, /^vitrine_ingest_requests_total\{signal="otlp traces"\} \d+$/m);
  assert.match(metrics, /^process_resident_memory_bytes \d+$/m);
  assert.doesNotMatch(metrics, /# EOF/);
  const open = await v.fetch('/metrics', { headers: { accept: 'application/openmetrics-text; version=1.0.0' } });
  assert.match(open.headers.get('content-type'), /^application\/openmetrics-text/);
  assert.match(await open.text(), /# EOF\n$/);
});

async function until(found) {
  const end = Date.now() + PAGE_WAIT_MS;
  while (!(await found())) {
    assert.ok(Date.now() < end, 'it never came to that');
    await new Promise((done) => setTimeout(done, 100));
  }
}
