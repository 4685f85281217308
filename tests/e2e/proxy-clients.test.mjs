// Real clients of three providers, pointed at the proxy by nothing but a base address: what they are answered, and the span of each call.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createServer } from 'node:http';
import { once } from 'node:events';
import OpenAI from 'openai';
import Anthropic from '@anthropic-ai/sdk';
import { GoogleGenAI } from '@google/genai';
import { serve } from './lib/vitrine.mjs';

const KEY = 'AIza-never0to0be0stored0anywhere';
const tags = { 'x-vitrine-user': 'ada', 'x-vitrine-thread': 't-1', 'x-vitrine-property-plan': 'pro' };
const question = 'Which jacket for rain?', answer = 'The Alpine Shell.';
const events = (list, named = false) => list.map((e) => `${named ? `event: ${e.type}\n` : ''}data: ${JSON.stringify(e)}\n\n`).join('');

/** Speaks as the three providers do: [how it answers a whole call, how a stream]. */
const speech = {
  chat: [
    { id: 'c1', object: 'chat.completion', model: 'gpt-4o', choices: [{ index: 0, message: { role: 'assistant', content: answer }, finish_reason: 'stop' }], usage: { prompt_tokens: 9, completion_tokens: 5, total_tokens: 14 } },
    events([...answer.split(/(?= )/).map((content) => ({ id: 'c1', model: 'gpt-4o', choices: [{ index: 0, delta: { content }, finish_reason: null }] })),
      { id: 'c1', model: 'gpt-4o', choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] }, { id: 'c1', model: 'gpt-4o', choices: [], usage: { prompt_tokens: 9, completion_tokens: 5, total_tokens: 14 } }]) + 'data: [DONE]\n\n'],
  messages: [
    { id: 'm1', type: 'message', role: 'assistant', model: 'claude-sonnet-4-5', content: [{ type: 'text', text: answer }], stop_reason: 'end_turn', stop_sequence: null, usage: { input_tokens: 9, output_tokens: 5 } },
    events([{ type: 'message_start', message: { id: 'm1', type: 'message', role: 'assistant', model: 'claude-sonnet-4-5', content: [], stop_reason: null, usage: { input_tokens: 9, output_tokens: 1 } } },
      { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } }, { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: answer } }, { type: 'content_block_stop', index: 0 },
      { type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage: { output_tokens: 5 } }, { type: 'message_stop' }], true)],
  gemini: [
    { candidates: [{ content: { role: 'model', parts: [{ text: answer }] }, finishReason: 'STOP', index: 0 }], usageMetadata: { promptTokenCount: 9, candidatesTokenCount: 5, totalTokenCount: 14 }, modelVersion: 'gemini-2.5-flash', responseId: 'g1' },
    events([...answer.split(/(?= )/).map((text) => ({ candidates: [{ content: { role: 'model', parts: [{ text }] }, index: 0 }] })),
      { candidates: [{ content: { role: 'model', parts: [] }, finishReason: 'STOP', index: 0 }], usageMetadata: { promptTokenCount: 9, candidatesTokenCount: 5, totalTokenCount: 14 }, modelVersion: 'gemini-2.5-flash' }])],
};

async function providers(t) {
  const seen = [];
  const server = createServer(async (request, response) => {
    let text = '';
    for await (const piece of request) text += piece;
    const body = JSON.parse(text), api = request.url.includes('/chat/') ? 'chat' : request.url.includes('/messages') ? 'messages' : 'gemini';
    seen.push({ url: request.url, headers: request.headers });
    const stream = body.stream || request.url.includes(':stream');
    if (!stream) return response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(speech[api][0]));
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    for (const piece of speech[api][1].split(/(?<=\n\n)/)) response.write(piece);
    response.end();
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => (server.closeAllConnections(), server.close()));
  return { seen, url: `http://127.0.0.1:${server.address().port}` };
}

const gather = async (stream, text) => { let all = ''; for await (const piece of stream) all += text(piece) ?? ''; return all; };

const clients = {
  async openai(base) {
    const client = new OpenAI({ apiKey: KEY, baseURL: `${base}/openai/v1`, defaultHeaders: tags, maxRetries: 0 });
    const call = { model: 'gpt-4o', temperature: 0.5, messages: [{ role: 'user', content: question }] };
    return [(await client.chat.completions.create(call)).choices[0].message.content,
      await gather(await client.chat.completions.create({ ...call, stream: true, stream_options: { include_usage: true } }), (c) => c.choices[0]?.delta.content)];
  },
  async anthropic(base) {
    const client = new Anthropic({ apiKey: KEY, baseURL: `${base}/anthropic`, defaultHeaders: tags, maxRetries: 0 });
    const call = { model: 'claude-sonnet-4-5', max_tokens: 99, temperature: 0.5, messages: [{ role: 'user', content: question }] };
    return [(await client.messages.create(call)).content[0].text,
      await gather(client.messages.stream(call), (e) => e.delta?.text)];
  },
  async google(base) {
    const client = new GoogleGenAI({ apiKey: KEY, httpOptions: { baseUrl: `${base}/google`, headers: tags } });
    const call = { model: 'gemini-2.5-flash', contents: question, config: { temperature: 0.5 } };
    return [(await client.models.generateContent(call)).text, await gather(await client.models.generateContentStream(call), (c) => c.text)];
  },
};
const models = { openai: 'gpt-4o', anthropic: 'claude-sonnet-4-5', google: 'gemini-2.5-flash' };

for (const [name, talk] of Object.entries(clients)) {
  test(`the client of ${name} is answered through the proxy, whole and streamed, and both calls have their spans`, async (t) => {
    const up = await providers(t);
    const v = await serve(t, { grpc: false, args: ['--upstream', `${name}=${up.url}`] });
    assert.deepEqual(await talk(`${v.url.replace(/\/$/, '')}/proxy`), [answer, answer]);
    assert.ok(up.seen.every(({ headers }) => JSON.stringify(headers).includes(KEY)), 'the key reached the provider');
    const { traces } = await v.until('/api/v1/traces?limit=10', ({ traces }) => traces.length === 2);
    const spans = (await Promise.all(traces.map((trace) => v.get(`/api/v1/traces/${trace.trace_id}`)))).flatMap((trace) => trace.spans);
    for (const span of spans) {
      assert.deepEqual([span.kind, span.status, span.provider, span.model, span.user_id, span.thread_id, span.temperature], ['llm', 'OK', name, models[name], 'ada', 't-1', 0.5]);
      assert.deepEqual([span.tokens.input, span.tokens.output, span.estimated ?? false], [9, 5, false]);
      assert.ok(span.cost_usd > 0, 'it has a price');
      assert.deepEqual([span.prompt, span.completion], [[{ role: 'user', content: question }], [{ role: 'assistant', content: answer }]]);
      assert.match(span.finish_reason, /^(stop|end_turn)$/);
      assert.equal(span.attributes['property.plan'], 'pro');
      assert.ok(!JSON.stringify(span).includes('never0to0be'));
    }
    const [streamed, ...others] = spans.filter((span) => span.ttft_ms !== undefined && span.ttft_ms !== null);
    assert.ok(streamed.ttft_ms > 0 && streamed.ttft_ms <= streamed.duration_ms);
    assert.equal(others.length, 0, 'of a whole answer no first token is known');
  });
}
