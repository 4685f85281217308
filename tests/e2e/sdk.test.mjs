// libvitrine and `vitrine serve` together: what a C program traces is found again, by OTLP and by its JSON lines, also
// when the server was away in between.
import test from 'node:test';
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { atEnd, freePort, program, run, serve, tempDir } from './lib/vitrine.mjs';

const client = join(dirname(program), '../../tests/unit/sdk/sdk_client');
const service = { OTEL_SERVICE_NAME: 'ai-storefront', OTEL_SERVICE_VERSION: '1.0.0' };

/** One turn as the server tells it, whichever way it came. */
async function assertTurn(v) {
  const { traces } = await v.until('/api/v1/traces', ({ traces }) => traces.length >= 1);
  assert.equal(traces.length, 1);
  const [trace] = traces;
  assert.equal(trace.operation, 'chat.continue_thread');
  assert.equal(trace.service, 'ai-storefront');
  assert.equal(trace.status, 'OK');
  assert.equal(trace.span_count, 4);
  assert.equal(trace.llm_calls, 2);
  assert.equal(trace.fallback, true, 'a call failed and the turn went on');
  assert.equal(trace.user_id, 'shopper-7');
  assert.equal(trace.thread_id, 'thread-1');
  assert.equal(trace.tokens.total, 396);
  const { spans } = await v.get(`/api/v1/traces/${trace.trace_id}`);
  const turn = spans.find((span) => span.kind === 'turn');
  const [failed, answered] = ['ERROR', 'OK'].map((status) => spans.find((span) => span.kind === 'llm' && span.status === status));
  assert.ok(spans.every((span) => span === turn || span.parent_span_id === turn.span_id));
  assert.match(JSON.stringify(failed.error), /429 rate limited/);
  assert.equal(answered.provider, 'openai');
  assert.equal(answered.model, 'gpt-4o-mini');
  assert.equal(answered.tokens.input, 159);
  assert.equal(answered.tokens.output, 237);
  assert.equal(answered.tokens.cached, 100);
  assert.equal(answered.finish_reason, 'stop');
  assert.ok(answered.ttft_ms >= 0);
  assert.match(JSON.stringify(answered.prompt), /Which jacket fits rain\?/);
  assert.match(JSON.stringify(answered.completion), /grüß dich/);
  const tool = spans.find((span) => span.operation === 'tool.stock');
  assert.equal(tool.attributes.sku, 'J-1');
  assert.equal(tool.attributes.stock, 4);
}

test('a traced turn arrives by OTLP with only the endpoint set', async (t) => {
  const v = await serve(t);
  const { code, stderr } = await run(['1'], { command: client, env: { ...service, OTEL_EXPORTER_OTLP_ENDPOINT: v.url } });
  assert.equal(code, 0, stderr);
  await assertTurn(v);
});

test('the same turn arrives by its JSON lines', async (t) => {
  const v = await serve(t);
  const { code, stdout } = await run(['1'], { command: client, env: service });
  assert.equal(code, 0);
  const lines = stdout.trimEnd().split('\n');
  assert.equal(lines.length, 4);
  for (const line of lines) assert.equal(JSON.parse(line).attributes['service.name'], 'ai-storefront');
  const { accepted, rejected, errors } = await v.post('/ingest/logs', stdout);
  assert.deepEqual({ accepted, rejected, errors }, { accepted: 4, rejected: 0, errors: [] });
  await assertTurn(v);
});

test('nothing is lost while the server is away: a spool brings it over', async (t) => {
  const port = await freePort();
  const dir = await tempDir(t), spool = await tempDir(t);
  const env = { ...service, OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}`, VITRINE_OTLP_SPOOL: spool };
  for (let i = 0; i < 3; i++) {
    const { code } = await run(['2'], { command: client, env });
    assert.equal(code, 0);
  }
  assert.equal((await readdir(spool)).length, 3, 'each run leaves its batch');
  const v = await serve(t, { dir, args: ['--listen', `127.0.0.1:${port}`] });
  const { code } = await run(['1'], { command: client, env });
  assert.equal(code, 0);
  const { traces } = await v.until('/api/v1/traces', ({ traces }) => traces.length >= 7);
  assert.equal(traces.length, 7);
  assert.deepEqual(await readdir(spool), []);
});

test('a server that restarts gets every span once, without a spool too', async (t) => {
  const port = await freePort();
  const dir = await tempDir(t);
  const listen = { dir, args: ['--listen', `127.0.0.1:${port}`] };
  const env = { PATH: process.env.PATH, ...service, OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}`, VITRINE_OTLP_RETRY: '50' };
  let v = await serve(t, listen);
  const child = spawn(client, ['-', '6'], { env, stdio: ['pipe', 'pipe', 'inherit'] });
  atEnd(t, () => child.kill('SIGKILL'));
  child.stdout.setEncoding('utf8');
  const turn = async () => {
    child.stdin.write('\n');
    const [text] = await once(child.stdout, 'data');
    return Number(text.match(/flush (-?\d+)/)[1]);
  };
  for (let i = 0; i < 2; i++) assert.equal(await turn(), 0);
  await v.stop();
  for (let i = 0; i < 2; i++) assert.notEqual(await turn(), 0, 'the collector is away');
  v = await serve(t, listen);
  for (let i = 0; i < 2; i++) await turn();
  child.stdin.end();
  const [code] = await once(child, 'close');
  assert.equal(code, 0);
  const { traces } = await v.until('/api/v1/traces', ({ traces }) => traces.length >= 6);
  assert.equal(traces.length, 6);
  assert.ok(traces.every((trace) => trace.span_count === 4));
});

test('a key is asked for and sent as a header', async (t) => {
  const dir = await tempDir(t);
  let v = await serve(t, { dir });
  const { key } = await v.post('/api/v1/keys', { name: 'storefront', scopes: 'ingest,read' });
  assert.ok(key);
  await v.stop();
  v = await serve(t, { dir, args: ['--require-key'] });
  const env = { ...service, OTEL_EXPORTER_OTLP_ENDPOINT: v.url, VITRINE_DEBUG: '1' };
  const without = await run(['1'], { command: client, env });
  assert.match(without.stderr, /refuses spans \(HTTP status 401\)/);
  const headers = { authorization: `Bearer ${key}` };
  const within = await run(['1'], { command: client, env: { ...env, OTEL_EXPORTER_OTLP_HEADERS: JSON.stringify(headers) } });
  assert.doesNotMatch(within.stderr, new RegExp(key));
  const { traces } = await v.until('/api/v1/traces', ({ traces }) => traces.length >= 1, { headers });
  assert.equal(traces.length, 1);
});
