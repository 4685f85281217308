// Convex: the drop-in of integrations/convex in an app of the real `convex` package. The app is type-checked strictly, bundled
// as Convex bundles it, and run in a V8 context that has what Convex's runtime has and nothing of Node; what it prints goes to
// a server as Convex's signed log stream.
import test from 'node:test';
import assert from 'node:assert/strict';
import { createHmac, randomUUID, webcrypto } from 'node:crypto';
import { copyFile, cp, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import vm from 'node:vm';
import { build } from 'esbuild';
import { atEnd, root, run, serve } from '../e2e/lib/vitrine.mjs';
import { fakeLlm } from './lib.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const LINE_BYTES_MAX = 32_768; // Convex cuts longer ones
const SECRET = 'whsec-storefront';

/** The app's convex/ folder with the drop-in beside its functions; within this folder, so that its packages are found. */
async function appFolder(t) {
  await mkdir(join(here, '.tmp'), { recursive: true });
  const dir = await mkdtemp(join(here, '.tmp/convex-'));
  atEnd(t, () => rm(dir, { recursive: true, force: true }));
  await cp(join(here, 'convex'), dir, { recursive: true });
  await copyFile(join(root, 'integrations/convex/vitrine.ts'), join(dir, 'vitrine.ts'));
  return dir;
}

/** As object-inspect prints an argument of console.log, which is how Convex words a message. */
const printed = (value) => (typeof value === 'string' ? `'${value.replace(/(['\\])/g, '\\$1').replaceAll('\n', '\\n')}'` : String(value));

/** Convex's runtime for an app: call(path, args) runs a function and returns its value; `events` is what the log stream gets. */
async function convexRuntime(dir, env = {}) {
  const { outputFiles: [{ text }] } = await build({
    entryPoints: [join(dir, 'chat.ts')], bundle: true, write: false, format: 'iife', globalName: 'app', platform: 'browser', target: 'es2022', conditions: ['convex', 'module'], logLevel: 'silent',
  });
  const events = [];
  const functions = [];
  const write = (level) => (...args) => {
    const whole = args.map(printed).join(' '), cut = Buffer.byteLength(whole) > LINE_BYTES_MAX;
    const message = cut ? Buffer.from(whole).subarray(0, LINE_BYTES_MAX).toString() : whole;
    events.push({ topic: 'console', timestamp: Date.now(), function: functions.at(-1), log_level: level, message, is_truncated: cut });
  };
  const web = { fetch, Headers, Request, Response, FormData, Blob, File, URL, URLSearchParams, ReadableStream, WritableStream, TransformStream, TextEncoder, TextDecoder, AbortController, AbortSignal, atob, btoa, structuredClone, setTimeout, clearTimeout, setInterval, clearInterval };
  const context = vm.createContext({
    ...web, crypto: webcrypto, process: { env }, console: { log: write('LOG'), info: write('INFO'), warn: write('WARN'), error: write('ERROR'), debug: write('DEBUG') },
    Convex: {
      syscall: () => '{}',
      asyncSyscall: async (op, json) => {
        assert.equal(op, '1.0/actions/mutation');
        const { name, args } = JSON.parse(json);
        return JSON.stringify(await call(name, args));
      },
    },
  });
  vm.runInContext(text, context);
  const call = async (path, args) => {
    const [, name] = path.split(':'), fn = vm.runInContext(`app.${name}`, context), type = fn.isAction ? 'action' : 'mutation';
    const parent = functions.at(-1), from = Date.now();
    functions.push({ type, path, request_id: parent?.request_id ?? randomUUID().slice(0, 16).replaceAll('-', ''), cached: false });
    if (type === 'mutation') vm.runInContext('Date.running = Date.now; { const at = Date.now(); Date.now = () => at; }', context);
    try {
      return JSON.parse(await (type === 'action' ? fn.invokeAction('r1', JSON.stringify([args])) : fn.invokeMutation(JSON.stringify([args]))));
    } finally {
      if (type === 'mutation') vm.runInContext('Date.now = Date.running', context);
      events.push({ topic: 'function_execution', timestamp: Date.now(), function: functions.pop(), execution_time_ms: Date.now() - from, status: 'success', error_message: null, usage: { database_read_bytes: 0 } });
    }
  };
  const lines = () => events.filter((e) => e.topic === 'console').map((e) => e.message);
  return { call, events, lines };
}

async function sendStream(v, events) {
  const body = JSON.stringify(events);
  const signature = createHmac('sha256', SECRET).update(body).digest('hex');
  const answer = await v.post('/ingest/convex', body, { 'x-webhook-signature': `sha256=${signature}` });
  assert.deepEqual([answer.rejected, answer.errors ?? []], [0, []], JSON.stringify(answer));
}

const spansAt = async (v, q, count) => {
  const { traces } = await v.until(`/api/v1/traces?q=${encodeURIComponent(q)}`, ({ traces }) => traces.reduce((n, t) => n + t.span_count, 0) >= count);
  return (await Promise.all(traces.map((trace) => v.get(`/api/v1/traces/${trace.trace_id}`)))).flatMap((trace) => trace.spans);
};
const one = (spans, found) => {
  const all = spans.filter(found);
  assert.equal(all.length, 1, JSON.stringify(spans.map(({ operation, model }) => [operation, model])));
  return all[0];
};

test('Convex: the drop-in and an app that uses it pass a strict type check, without the types of Node', async (t) => {
  const dir = await appFolder(t);
  const { code, stdout } = await run([join(here, 'node_modules/typescript/bin/tsc'), '-p', dir], { command: process.execPath });
  assert.equal(code, 0, stdout);
});

test("Convex: turns, streams, errors and what a mutation did arrive by the log stream as one trace", async (t) => {
  const [v, model, dir] = await Promise.all([serve(t, { args: ['--convex-secret', SECRET] }), fakeLlm(t, 'ttft_ms=60'), appFolder(t)]);
  const app = await convexRuntime(dir, { OTEL_SERVICE_NAME: 'ai-storefront' });
  const ask = { threadId: 'thread-1', userId: 'ada', turnId: 'turn-1', text: 'Which jacket fits rainy weather? My card is 1234 5678', llm: `${model.url}/v1` };
  const said = await app.call('chat:say', { ...ask, broken: false });
  assert.match(said, /Alpine Shell/);
  assert.match(await app.call('chat:say', { ...ask, threadId: 'thread-2', broken: true }), /\w/);
  assert.ok(app.lines().every((line) => line.startsWith("'🔍 TRACE: {")), app.lines().join('\n'));
  await sendStream(v, app.events);

  const spans = await spansAt(v, 'thread:thread-1', 4);
  const turn = one(spans, (s) => s.kind === 'turn'), call = one(spans, (s) => s.kind === 'llm'), search = one(spans, (s) => s.operation === 'catalogue.search'), saved = one(spans, (s) => s.operation === 'messages.save');
  assert.deepEqual([turn.operation, turn.status, turn.user_id, turn.turn_id, turn.service], ['chat.continue_thread', 'OK', 'ada', 'turn-1', 'ai-storefront']);
  assert.deepEqual(turn.events.map((e) => e.name), ['chat.turn.start', 'chat.turn.complete']);
  for (const child of [call, search, saved]) assert.deepEqual([child.parent_span_id, child.trace_id ?? turn.trace_id], [turn.span_id, turn.trace_id], child.operation);
  assert.deepEqual([call.provider, call.model, call.temperature, call.finish_reason, call.status, call.user_id, call.thread_id], ['openai', 'gpt-4o', 0.5, 'stop', 'OK', 'ada', 'thread-1']);
  assert.deepEqual([call.tokens.input > 0, call.tokens.total], [true, call.tokens.input + call.tokens.output]);
  assert.ok(call.cost_usd > 0);
  assert.ok(call.ttft_ms >= 55 && call.ttft_ms <= call.duration_ms, `first token after ${call.ttft_ms} of ${call.duration_ms} ms`);
  assert.equal(call.attributes['response.length'], Array.from(said).length);
  const preview = JSON.stringify(call);
  assert.ok(preview.includes('[card]') && !preview.includes('1234 5678'), preview);
  assert.deepEqual([search.attributes['search.results'], 'search.hint' in search.attributes], [2, false]);
  assert.deepEqual([saved.duration_ms, saved.attributes['convex.function.path'], saved.attributes['convex.function.type']], [0, 'chat:save', 'mutation']);
  const execution = one(await spansAt(v, 'operation:chat:say', 1).catch(() => []), (s) => s.operation === 'chat:say' && s.start <= turn.start && s.attributes['convex.request_id'] === turn.attributes['convex.request_id']);
  assert.equal(execution.status, 'OK');

  const failed = await spansAt(v, 'thread:thread-2', 5);
  const error = one(failed, (s) => s.model === 'gpt-4o'), second = one(failed, (s) => s.model === 'gpt-4o-mini');
  assert.deepEqual([error.status, second.status, second.finish_reason], ['ERROR', 'OK', 'stop']);
  assert.match(error.error, /404/);
  assert.ok(second.tokens.input > 0 && second.tokens.output > 0, 'usage of an answer that was not streamed');
  const { traces: [trace] } = await v.get('/api/v1/traces?q=thread:thread-2');
  assert.equal(trace.fallback, true);
});

test('Convex: calls at the same time keep their own parents, and a stream left early is told', async (t) => {
  const [v, model, dir] = await Promise.all([serve(t, { args: ['--convex-secret', SECRET] }), fakeLlm(t, 'ttft_ms=30, chunk_ms=5'), appFolder(t)]);
  const app = await convexRuntime(dir);
  const answers = await app.call('chat:compare', { llm: `${model.url}/v1` });
  assert.equal(answers.length, 3);
  await sendStream(v, app.events);
  const spans = await spansAt(v, 'operation:chat.compare', 6);
  const turn = one(spans, (s) => s.kind === 'turn');
  assert.equal(turn.service, 'convex');
  for (const name of ['gpt-4o', 'gpt-4o-mini']) {
    const asked = one(spans, (s) => s.operation === `ask ${name}`), call = one(spans, (s) => s.model === name);
    assert.deepEqual([asked.parent_span_id, call.parent_span_id, call.thread_id], [turn.span_id, asked.span_id, 'thread-2']);
  }
  const left = one(spans, (s) => s.model === 'gpt-4.1-mini');
  assert.deepEqual([left.parent_span_id, left.status, left.attributes['response.length']], [turn.span_id, 'OK', Array.from(answers[2]).length]);
  assert.ok(left.ttft_ms >= 25);
});

test('Convex: long texts, other APIs, broken values and errors cost no line', async (t) => {
  const [v, dir] = await Promise.all([serve(t, { args: ['--convex-secret', SECRET] }), appFolder(t)]);
  const app = await convexRuntime(dir);
  await app.call('chat:odd', {});
  assert.equal(app.lines().length, 3);
  assert.ok(app.events.every((e) => !e.is_truncated), String(app.lines().map((line) => line.length)));
  await sendStream(v, app.events);
  const spans = await spansAt(v, 'model:*', 3);
  const long = one(spans, (s) => s.provider === 'anthropic'), secret = one(spans, (s) => s.operation === 'openai.responses.create'), refused = one(spans, (s) => s.status === 'ERROR');
  assert.deepEqual([long.temperature, long.finish_reason, long.attributes['prompt.length'], long.user_id], [0, 'end_turn', 60_000 - 2000, 'u-9']);
  assert.deepEqual([long.tokens.input, long.tokens.output, long.tokens.cached], [120, 6, 100]);
  assert.match(JSON.stringify(long.prompt), /It's a .*\[card\] 🧥/);
  assert.match(JSON.stringify(long.completion), /Take the Alpine Shell\./);
  assert.deepEqual([secret.tokens.total, secret.tokens.reasoning, secret.attributes['response.length'], 'nothing' in secret.attributes, 'bad' in secret.attributes], [5, 1, 10, false, false]);
  assert.ok(!JSON.stringify([secret, app.lines()[1]]).includes('secret'));
  assert.deepEqual([refused.error, refused.attributes['error.type']], ['card [card] refused', 'TypeError']);
});

test('Convex: a stream whose signature is wrong is refused', async (t) => {
  const v = await serve(t, { args: ['--convex-secret', SECRET], grpc: false });
  await assert.rejects(v.post('/ingest/convex', '[]', { 'x-webhook-signature': `sha256=${'0'.repeat(64)}` }), { status: 401 });
});
