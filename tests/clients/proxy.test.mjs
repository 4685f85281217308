// The SDKs of OpenAI and Anthropic through the proxy: told a base URL, and nothing else.
import test from 'node:test';
import assert from 'node:assert/strict';
import OpenAI from 'openai';
import Anthropic from '@anthropic-ai/sdk';
import { serve } from '../e2e/lib/vitrine.mjs';
import { fakeLlm } from './lib.mjs';

const QUESTION = 'Which jacket fits rainy weather?';
const messages = [{ role: 'user', content: QUESTION }];

async function spans(v, count) {
  const { traces } = await v.until('/api/v1/traces?limit=100', ({ traces }) => traces.length >= count);
  return (await Promise.all(traces.map((t) => v.get(`/api/v1/traces/${t.trace_id}`)))).flatMap((t) => t.spans);
}
async function through(t, name, behave) {
  const model = await fakeLlm(t, behave);
  return serve(t, { grpc: false, args: ['--upstream', `${name}=${model.url}`] });
}
const openai = (v) => new OpenAI({ baseURL: `${v.url}/proxy/openai/v1`, apiKey: 'sk-test-0123456789abcdef', maxRetries: 0, defaultHeaders: { 'x-vitrine-user': 'ada' } });

test('openai: an answer, a stream with usage, and a stream without', async (t) => {
  const v = await through(t, 'openai', 'ttft_ms=20');
  const client = openai(v);
  const whole = await client.chat.completions.create({ model: 'gpt-4o', messages });
  const stream = await client.chat.completions.create({ model: 'gpt-4o', messages, stream: true, stream_options: { include_usage: true } });
  let text = '';
  for await (const chunk of stream) text += chunk.choices[0]?.delta?.content ?? '';
  assert.equal(text, whole.choices[0].message.content);
  for await (const chunk of await client.chat.completions.create({ model: 'gpt-4o-mini', messages, stream: true })) void chunk;

  const all = await spans(v, 3);
  for (const span of all) {
    assert.deepEqual([span.status, span.provider, span.user_id, span.finish_reason], ['OK', 'openai', 'ada', 'stop']);
    assert.deepEqual(span.prompt, messages);
  }
  const [streamed, plain] = [true, undefined].map((s) => all.find((x) => x.model === 'gpt-4o' && x.attributes['gen_ai.request.stream'] === s));
  assert.equal(streamed.completion[0].content, text);
  assert.equal(plain.completion[0].content, text);
  assert.deepEqual([plain.tokens.input, plain.tokens.output], [whole.usage.prompt_tokens, whole.usage.completion_tokens]);
  assert.deepEqual(streamed.tokens, plain.tokens);
  assert.ok(streamed.ttft_ms >= 20);
  assert.equal(all.find((x) => x.model === 'gpt-4o-mini').estimated, true);
});

test('openai: a limit of the provider reaches the SDK as its own error', async (t) => {
  const v = await through(t, 'openai', 'status=429');
  await assert.rejects(openai(v).chat.completions.create({ model: 'gpt-4o', messages }), (e) => e instanceof OpenAI.RateLimitError);
  const [span] = await spans(v, 1);
  assert.deepEqual([span.status, span.attributes['http.response.status_code']], ['ERROR', 429]);
});

test('anthropic: an answer and a stream', async (t) => {
  const v = await through(t, 'anthropic', '');
  const client = new Anthropic({ baseURL: `${v.url}/proxy/anthropic`, apiKey: 'sk-ant-0123456789abcdef', maxRetries: 0 });
  const whole = await client.messages.create({ model: 'claude-sonnet-4-5', max_tokens: 100, messages });
  const text = await client.messages.stream({ model: 'claude-sonnet-4-5', max_tokens: 100, messages }).finalText();
  assert.equal(text, whole.content[0].text);
  const all = await spans(v, 2);
  for (const span of all) {
    assert.deepEqual([span.status, span.provider, span.model], ['OK', 'anthropic', 'claude-sonnet-4-5']);
    assert.match(JSON.stringify(span.completion), new RegExp(text.slice(0, 20)));
    assert.ok(span.tokens.output > 0 && span.estimated !== true);
  }
});
