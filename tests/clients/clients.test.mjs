// Whatever it speaks, it is understood: each SDK as its users run it, told only where Vitrine is.
import test from 'node:test';
import assert from 'node:assert/strict';
import { serve } from '../e2e/lib/vitrine.mjs';
import { fakeLlm, runApp, spansOf } from './lib.mjs';

const JACKET = { question: 'Which jacket fits rainy weather?', model: 'gpt-4o', input: 12, output: 61, usd: (12 * 2.5 + 61 * 10) / 1e6, says: /Alpine Shell/ };
const TENT = { question: 'A tent for two?', model: 'gpt-4o-mini', input: 8, output: 34, usd: (8 * 0.15 + 34 * 0.6) / 1e6, says: /Tarn 3/ };

const textOf = (content) => (typeof content === 'string' ? content : (content ?? []).map((m) => (typeof m.content === 'string' ? m.content : JSON.stringify(m.content))).join('\n'));
const near = (got, wanted, what) => assert.ok(Math.abs(got - wanted) < 1e-9, `${what}: ${got}, expected ${wanted}`);
const llm = (spans, model) => spans.filter((s) => s.kind === 'llm' && s.model?.startsWith(model) && !s.usage_restated);

function expectCall(span, wanted, { usage = true, content = true } = {}) {
  assert.equal(span.provider, 'openai');
  assert.equal(span.status === 'ERROR', false);
  assert.equal(span.user_id, 'ada');
  assert.equal(span.thread_id, 'thread-1');
  if (usage) {
    assert.equal(span.tokens.input, wanted.input);
    assert.equal(span.tokens.output, wanted.output);
    near(span.cost_usd, wanted.usd, 'cost');
    assert.notEqual(span.tokens.estimated ?? span.estimated, true);
  }
  if (content) {
    assert.match(textOf(span.prompt), new RegExp(wanted.question.replace('?', '\\?')));
    assert.match(textOf(span.completion), wanted.says);
  }
}

for (const protocol of ['http/protobuf', 'http/json', 'grpc']) {
  test(`openai under the OpenTelemetry SDK, ${protocol}`, async (t) => {
    const [v, model] = await Promise.all([serve(t), fakeLlm(t, 'ttft_ms=20')]);
    await runApp('openai-otel.cjs', model, {
      OTEL_EXPORTER_OTLP_ENDPOINT: protocol === 'grpc' ? `http://${v.grpc}` : v.url, OTEL_EXPORTER_OTLP_PROTOCOL: protocol, OTEL_SERVICE_NAME: 'shop',
    });
    const { traces, spans } = await spansOf(v, 'shop', 3);
    assert.equal(traces.length, 1);
    const turn = spans.find((s) => s.kind === 'turn');
    assert.equal(turn.turn_id, 'turn-1');
    for (const wanted of [JACKET, TENT]) {
      const [call] = llm(spans, wanted.model);
      expectCall(call, wanted, { content: false });
      assert.equal(call.parent_span_id, turn.span_id);
      assert.equal(call.finish_reason, 'stop');
    }
    assert.equal(llm(spans, 'gpt-4o')[0].temperature, 0.5);
    near(traces[0].cost_usd, JACKET.usd + TENT.usd, 'cost of the trace');
    assert.deepEqual([traces[0].tokens.input, traces[0].tokens.output], [JACKET.input + TENT.input, JACKET.output + TENT.output]);
  });
}

test('openai under the OpenTelemetry SDK: contents that come as log events stand on their call', async (t) => {
  const [v, model] = await Promise.all([serve(t), fakeLlm(t)]);
  await runApp('openai-otel.cjs', model, {
    OTEL_EXPORTER_OTLP_ENDPOINT: v.url, OTEL_EXPORTER_OTLP_PROTOCOL: 'http/protobuf', OTEL_SERVICE_NAME: 'shop', OTEL_LOGS_EXPORTER: 'otlp',
  });
  const { spans } = await spansOf(v, 'shop', 3);
  const [call] = llm(spans, 'gpt-4o');
  expectCall(call, JACKET);
});

test('OpenInference', async (t) => {
  const [v, model] = await Promise.all([serve(t), fakeLlm(t)]);
  await runApp('openinference.mjs', model, { OTEL_EXPORTER_OTLP_ENDPOINT: v.url, OTEL_SERVICE_NAME: 'shop' });
  const { spans } = await spansOf(v, 'shop', 3);
  expectCall(llm(spans, 'gpt-4o').find((s) => s.model === 'gpt-4o'), JACKET);
  const [streamed] = llm(spans, 'gpt-4o-mini');
  expectCall(streamed, TENT, { usage: false });
  if (!streamed.attributes['llm.token_count.prompt']) assert.equal(streamed.estimated ?? streamed.tokens.estimated, true, 'a stream without usage is estimated and says so');
  assert.ok(spans.some((s) => s.kind === 'embedding' && s.model === 'text-embedding-3-small'));
});

test('OpenLLMetry', async (t) => {
  const [v, model] = await Promise.all([serve(t), fakeLlm(t)]);
  await runApp('openllmetry.mjs', model, { OTEL_EXPORTER_OTLP_ENDPOINT: v.url, OTEL_SERVICE_NAME: 'shop' });
  const { traces, spans } = await spansOf(v, 'shop', 3);
  assert.equal(traces.length, 1);
  expectCall(llm(spans, 'gpt-4o').find((s) => s.model === 'gpt-4o'), JACKET);
  expectCall(llm(spans, 'gpt-4o-mini')[0], TENT, { usage: false }); // its own count of a stream is made with a tokenizer
  assert.ok(spans.some((s) => s.kind === 'chain' && s.operation === 'shop.workflow'));
});

test('Vercel AI SDK: wrappers are not counted twice', async (t) => {
  const [v, model] = await Promise.all([serve(t), fakeLlm(t)]);
  await runApp('vercel-ai.mjs', model, { OTEL_EXPORTER_OTLP_ENDPOINT: v.url, OTEL_SERVICE_NAME: 'shop' });
  const { traces, spans } = await spansOf(v, 'shop', 8);
  assert.equal(traces.length, 3);
  const calls = llm(spans, 'gpt-4o').filter((s) => s.model === 'gpt-4o');
  const jacket = calls.find((s) => textOf(s.prompt).includes(JACKET.question));
  expectCall(jacket, JACKET);
  const [tent] = llm(spans, 'gpt-4o-mini');
  expectCall(tent, TENT);
  assert.ok(tent.ttft_ms >= 0, 'time to first token is known of a stream');
  const asked = traces.find((s) => s.models?.includes('gpt-4o-mini'));
  assert.deepEqual([asked.tokens.input, asked.tokens.output], [TENT.input, TENT.output]);
  near(asked.cost_usd, TENT.usd, 'cost of the trace');
  const tool = spans.find((s) => s.kind === 'tool');
  assert.match(JSON.stringify(tool.attributes), /check_stock/);
});

test('Langfuse, by its base URL alone', async (t) => {
  const [v, model] = await Promise.all([serve(t), fakeLlm(t)]);
  await runApp('langfuse.mjs', model, { LANGFUSE_PUBLIC_KEY: 'pk-lf-1', LANGFUSE_SECRET_KEY: 'sk-lf-1', LANGFUSE_BASE_URL: v.url, OTEL_SERVICE_NAME: 'shop' });
  const { traces } = await v.until('/api/v1/traces', ({ traces }) => traces.length > 0);
  const { spans } = await v.get(`/api/v1/traces/${traces[0].trace_id}`);
  expectCall({ provider: 'openai', ...llm(spans, 'gpt-4o')[0] }, JACKET); // the SDK names no provider
});
