// Honeycomb: the storefront's environment file as it stands, but for the endpoint and the key, under OpenTelemetry's own Node SDK
// and under libvitrine. The server asks for the key, which comes in Honeycomb's own header.
import test from 'node:test';
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { parseEnv } from 'node:util';
import { program, root, run, serve, tempDir } from '../e2e/lib/vitrine.mjs';
import { runApp } from './lib.mjs';

const file = join(root, 'integrations/honeycomb/storefront.env');
const client = join(dirname(program), '../../tests/unit/sdk/sdk_client');

/** The file with an endpoint and a key of ours: its text, and its variables as dotenv reads them. */
async function environment(url, key) {
  const text = (await readFile(file, 'utf8')).replace('https://api.honeycomb.io', url).replace('YOUR_API_KEY', key);
  return { text, variables: parse(text) };
}

/** As dotenv does: the quotes around a value are not part of it. */
function parse(text) {
  if (parseEnv) return parseEnv(text);
  return Object.fromEntries(text.split('\n').map((line) => line.match(/^([A-Z_]+)=(['"]?)(.*)\2$/)).filter(Boolean).map((m) => [m[1], m[3]]));
}

async function keyed(t) {
  const dir = await tempDir(t);
  const open = await serve(t, { dir });
  const { key } = await open.post('/api/v1/keys', { name: 'storefront', scopes: 'ingest,read' });
  await open.stop();
  return { v: await serve(t, { dir, args: ['--require-key'] }), key, headers: { authorization: `Bearer ${key}` } };
}

async function spansOf(v, headers, count) {
  const { traces } = await v.until('/api/v1/traces', ({ traces }) => traces.reduce((n, one) => n + one.span_count, 0) >= count, { headers });
  assert.equal(traces.length, 1);
  return (await v.get(`/api/v1/traces/${traces[0].trace_id}`, headers)).spans;
}

test('Honeycomb: the environment file has the variables of the storefront, each once', async () => {
  const names = [...(await readFile(file, 'utf8')).matchAll(/^([A-Z_]+)=/gm)].map((m) => m[1]);
  assert.deepEqual(names.sort(), ['OTEL_ENABLE_CONSOLE', 'OTEL_ENABLE_OTLP', 'OTEL_EXPORTER_OTLP_ENDPOINT', 'OTEL_EXPORTER_OTLP_HEADERS', 'OTEL_SERVICE_NAME', 'OTEL_SERVICE_VERSION']);
  const { OTEL_EXPORTER_OTLP_HEADERS: headers, OTEL_EXPORTER_OTLP_ENDPOINT: endpoint } = parse(await readFile(file, 'utf8'));
  assert.deepEqual([JSON.parse(headers), endpoint], [{ 'x-honeycomb-team': 'YOUR_API_KEY', 'x-honeycomb-dataset': 'ai-storefront' }, 'https://api.honeycomb.io']);
});

test("Honeycomb: the environment file under OpenTelemetry's Node SDK", async (t) => {
  const { v, key, headers } = await keyed(t);
  await runApp('honeycomb.cjs', { url: 'http://127.0.0.1:9' }, (await environment(v.url, key)).variables);
  const spans = await spansOf(v, headers, 2);
  const [turn] = spans.filter((s) => s.kind === 'turn'), [call] = spans.filter((s) => s.kind === 'llm');
  assert.deepEqual([turn.operation, turn.service, turn.user_id, turn.turn_id], ['chat.continue_thread', 'ai-storefront', 'ada', 'turn-1']);
  assert.deepEqual([call.parent_span_id, call.provider, call.model, call.tokens.input, call.tokens.output, call.thread_id], [turn.span_id, 'openai', 'gpt-4o-mini', 159, 237, 'thread-1']);
});

for (const [how, start] of [
  ['read by dotenv', ({ variables }) => run(['1'], { command: client, env: { ...variables, VITRINE_DEBUG: '1' } })],
  ['read by a shell', async ({ text }, dir) => {
    await writeFile(join(dir, 'storefront.env'), text);
    return run(['-c', 'set -a; . ./storefront.env; set +a; exec "$0" 1', client], { command: 'sh', cwd: dir, env: { VITRINE_DEBUG: '1' } });
  }],
])
  test(`Honeycomb: the environment file under libvitrine, ${how}`, async (t) => {
    const { v, key, headers } = await keyed(t);
    const { code, stdout, stderr } = await start(await environment(v.url, key), await tempDir(t));
    assert.equal(code, 0, stderr);
    assert.ok(!stderr.includes(key), 'the key is not shown');
    assert.equal(stdout.trimEnd().split('\n').length, 4, 'OTEL_ENABLE_CONSOLE: lines as well');
    const spans = await spansOf(v, headers, 4);
    assert.deepEqual(spans.map((s) => s.service), Array(4).fill('ai-storefront'));
    const call = spans.find((s) => s.kind === 'llm' && s.status === 'OK');
    assert.deepEqual([call.model, call.tokens.input, call.tokens.output], ['gpt-4o-mini', 159, 237]);
  });

test("Honeycomb: libvitrine sends both of the file's headers", async (t) => {
  const got = [];
  const door = createServer((request, response) => (request.resume(), got.push(request.headers), response.end())).listen(0, '127.0.0.1');
  await once(door, 'listening');
  t.after(() => (door.closeAllConnections(), door.close()));
  const { variables } = await environment(`http://127.0.0.1:${door.address().port}`, 'hc-key');
  assert.equal((await run(['1'], { command: client, env: variables })).code, 0);
  assert.deepEqual([got[0]['x-honeycomb-team'], got[0]['x-honeycomb-dataset'], got[0]['content-type']], ['hc-key', 'ai-storefront', 'application/x-protobuf']);
});
