// The made-up storefront as OTLP JSON, so that a real server can be fed with it:
//
//   node dev/otlp.mjs http://127.0.0.1:4318 [--traces 4000] [--days 1] [--key KEY]
import { fileURLToPath } from 'node:url'
import { bigTrace, makeStory } from './data.mjs'

const value = v => typeof v === 'string' ? { stringValue: v } : typeof v === 'boolean' ? { boolValue: v } : Number.isInteger(v) ? { intValue: String(v) } : { doubleValue: v }
const nanos = (isoText, plusMs = 0) => {
  const micros = BigInt(Date.parse(isoText)) * 1000n + BigInt(isoText.slice(23, 26).replace('Z', '') || 0)
  return String((micros + BigInt(Math.round(plusMs * 1000))) * 1000n)
}
const works = { llm: 'chat', tool: 'execute_tool', embedding: 'embeddings', agent: 'invoke_agent' }
const text = v => v === undefined || typeof v === 'string' ? v : JSON.stringify(v)

function attributesOf(s) {
  const messages = s.kind === 'llm'
  const all = {
    ...s.attributes, 'gen_ai.operation.name': works[s.kind], 'openinference.span.kind': s.kind === 'retrieval' ? 'RETRIEVER' : undefined, 'gen_ai.system': s.provider, 'gen_ai.request.model': s.model, 'gen_ai.request.temperature': s.temperature,
    'gen_ai.usage.input_tokens': s.tokens?.input, 'gen_ai.usage.output_tokens': s.tokens?.output, 'gen_ai.usage.cache_read.input_tokens': s.tokens?.cached, 'llm.cost.total': s.cost_usd,
    'gen_ai.response.time_to_first_chunk': s.ttft_ms && s.ttft_ms / 1000, 'gen_ai.response.finish_reasons': s.finish_reason, 'user.id': s.user_id, 'gen_ai.conversation.id': s.thread_id, 'chat.turn_id': s.turn_id,
    [messages ? 'gen_ai.input.messages' : 'input.value']: text(s.prompt), [messages ? 'gen_ai.output.messages' : 'output.value']: text(s.completion),
  }
  return Object.entries(all).filter(([, v]) => v !== undefined && v !== null).map(([key, v]) => ({ key, value: key === 'gen_ai.response.finish_reasons' ? { arrayValue: { values: [value(v)] } } : value(v) }))
}

/* One export request of these spans. */
export function toOtlp(spans) {
  const byService = new Map()
  for (const s of spans) {
    if (!byService.has(s.service)) byService.set(s.service, { resource: { attributes: Object.entries(s.resource ?? { 'service.name': s.service }).map(([key, v]) => ({ key, value: value(v) })) }, scopeSpans: [{ scope: { name: 'storefront' }, spans: [] }] })
    byService.get(s.service).scopeSpans[0].spans.push({
      traceId: s.trace_id, spanId: s.span_id, parentSpanId: s.parent_span_id, name: s.operation, kind: s.kind === 'llm' || s.kind === 'embedding' ? 3 : 1, startTimeUnixNano: nanos(s.start), endTimeUnixNano: nanos(s.start, s.duration_ms), attributes: attributesOf(s),
      events: (s.events ?? []).map(e => ({ name: e.name, timeUnixNano: String(BigInt(e.timestamp) * 1_000_000n), attributes: Object.entries(e.attributes ?? {}).map(([key, v]) => ({ key, value: value(v) })) })),
      status: s.status === 'ERROR' ? { code: 2, message: s.error } : { code: 1 },
    })
  }
  return { resourceSpans: [...byService.values()] }
}

/* Sends whole traces, some hundred a request, and their scores. */
export async function sendTraces(url, traces, { key, scores = true, batch = 200 } = {}) {
  const headers = { 'content-type': 'application/json', ...(key ? { authorization: `Bearer ${key}` } : {}) }
  const post = async (path, body) => {
    const answer = await fetch(url + path, { method: 'POST', headers, body: JSON.stringify(body) })
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`)
    return answer.json()
  }
  for (let i = 0; i < traces.length; i += batch) {
    const { partialSuccess } = await post('/v1/traces', toOtlp(traces.slice(i, i + batch).flatMap(t => t.spans)))
    if (Number(partialSuccess?.rejectedSpans ?? 0) > 0) throw new Error(`spans were refused: ${partialSuccess.errorMessage}`)
  }
  for (const t of scores ? traces : []) for (const s of t.spans) for (const score of s.scores ?? [])
    await post('/api/v1/scores', { trace_id: t.trace_id, span_id: s.span_id, name: score.name, value: score.value, user_id: score.user_id })
}

export const bigTraceSpans = (count, now) => { const { trace_id, spans } = bigTrace(count, now); return { trace_id, spans: spans.map(s => ({ trace_id, ...s })) } }

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [url, ...args] = process.argv.slice(2)
  const option = (name, fallback) => { const i = args.indexOf('--' + name); return i < 0 ? fallback : args[i + 1] }
  const traces = makeStory(Number(option('traces', 4000)), Date.now(), Number(option('days', 1)))
  await sendTraces(url, traces, { key: option('key') })
  console.log(`${traces.length} traces, ${traces.reduce((n, t) => n + t.spans.length, 0)} spans sent`)
}
