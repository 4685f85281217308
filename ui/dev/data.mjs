// A made-up day of a storefront, the same every time (seeded), as large as one asks. Spans as docs/api.md has them.
//
// The story: people come by day, most in the evening. Eight hours ago version 1.4.3 began to send plain questions to a smaller
// model, so that costs fell. Three hours ago a provider refused calls for half an hour; most shoppers got a fallback answer.
import { conversations, errors, sorry, system } from './story.mjs'

const MINUTE = 60_000, HOUR = 60 * MINUTE
export const DEPLOY_MS = 8 * HOUR, TROUBLE_MS = [3 * HOUR + 10 * MINUTE, 2 * HOUR + 40 * MINUTE] // before now

export function random(seed) {
  let a = seed >>> 0
  return () => {
    a = (a + 0x6d2b79f5) | 0
    let t = Math.imul(a ^ (a >>> 15), 1 | a)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

const models = {
  'gpt-4o': { provider: 'openai', speed: 68, ttft: 480, input: 2.5, output: 10, score: 0.9 },
  'gpt-4o-mini': { provider: 'openai', speed: 110, ttft: 310, input: 0.15, output: 0.6, score: 0.81 },
  'claude-sonnet-4-5': { provider: 'anthropic', speed: 74, ttft: 650, input: 3, output: 15, score: 0.95 },
  'gemini-2.5-flash': { provider: 'google', speed: 170, ttft: 260, input: 0.3, output: 2.5, score: 0.77 },
}
const mixBefore = [['gpt-4o', 0.56], ['claude-sonnet-4-5', 0.22], ['gpt-4o-mini', 0.16], ['gemini-2.5-flash', 0.06]]
const mixAfter = [['gpt-4o-mini', 0.55], ['claude-sonnet-4-5', 0.22], ['gpt-4o', 0.15], ['gemini-2.5-flash', 0.08]]

const hex = (next, n) => Array.from({ length: n }, () => Math.floor(next() * 16).toString(16)).join('')
const round = (n, d = 6) => Number(n.toFixed(d))
const iso = ms => new Date(ms).toISOString().replace('Z', '000Z')
const pick = (next, list, weight) => {
  let left = next() * list.reduce((n, one) => n + weight(one), 0)
  return list.find(one => (left -= weight(one)) <= 0) ?? list[0]
}
/* How busy the shop is at an hour of the day, 0 to 1. */
const busy = ms => {
  const d = new Date(ms), h = d.getUTCHours() + d.getUTCMinutes() / 60
  return 0.1 + 0.5 * Math.exp(-((h - 12.5) ** 2) / 8) + 0.9 * Math.exp(-((h - 20) ** 2) / 7) + 0.25 * Math.exp(-((h - 9) ** 2) / 10)
}

/* One turn of a conversation as a trace. */
function makeTurn(next, { start, now, thread, user, turn, index, plan }) {
  const trace_id = hex(next, 32), root = hex(next, 16)
  const newer = start > now - DEPLOY_MS, trouble = start > now - TROUBLE_MS[0] && start < now - TROUBLE_MS[1]
  const name = pick(next, newer ? mixAfter : mixBefore, m => m[1])[0]
  const base = { trace_id, service: 'ai-storefront', user_id: user, thread_id: thread, turn_id: `${thread}-${index + 1}` }
  const spans = []
  let at = start + 3
  const add = span => {
    const service = span.service ?? base.service
    spans.push({ ...base, status: 'OK', attributes: {}, events: [], scores: [], resource: { 'service.name': service, 'service.version': service === 'ai-storefront' ? newer ? '1.4.3' : '1.4.2' : '2.0.1', 'deployment.environment': 'production' }, ...span, start: iso(span.start), duration_ms: round(span.duration_ms, 3) })
    return spans[spans.length - 1]
  }
  const agent = plan ? hex(next, 16) : root
  const planned = at
  if (turn.search) {
    const took = 24 + next() * 70, search = hex(next, 16)
    add({ span_id: search, parent_span_id: agent, operation: 'search_catalogue', kind: 'retrieval', start: at, duration_ms: took, prompt: turn.ask, completion: turn.search, attributes: { 'retrieval.documents': JSON.parse(turn.search).length } })
    add({ span_id: hex(next, 16), parent_span_id: search, operation: 'embeddings text-embedding-3-small', kind: 'embedding', start: at + 1, duration_ms: took * 0.55, provider: 'openai', model: 'text-embedding-3-small', tokens: { input: 14, total: 14 }, cost_usd: 2.8e-7 })
    add({ span_id: hex(next, 16), parent_span_id: search, operation: 'GET /search', kind: 'other', service: 'catalogue', start: at + 2 + took * 0.58, duration_ms: took * 0.3, attributes: { 'http.request.method': 'GET', 'db.system': 'postgresql' } })
    at += took + 2
  }
  const call = (model, { fails, tools } = {}) => {
    const m = models[model], output = tools ? 24 + Math.floor(next() * 20) : Math.round(turn.answer.length / 3.6 + next() * 30), input = Math.round(420 + index * 210 + next() * 900)
    const cached = next() < 0.45 ? Math.round(input * 0.6) : 0, ttft = m.ttft * (0.65 + next() * next() * 2) * (trouble ? 1.6 : 1)
    const took = fails ? 280 + next() * 900 : ttft + output / m.speed * 1000 * (0.8 + next() * 0.5)
    const span = add({ span_id: hex(next, 16), parent_span_id: agent, operation: m.provider === 'anthropic' ? 'anthropic.messages.create' : `${m.provider}.chat.completions.create`, kind: 'llm', start: at, duration_ms: took, provider: m.provider, model, temperature: 0.7,
      prompt: [{ role: 'system', content: system }, { role: 'user', content: turn.ask }], attributes: { 'gen_ai.request.max_tokens': 800, 'shop.locale': /[äöüß]/.test(turn.ask) ? 'de-DE' : 'en-GB', 'shop.cart.items': Math.floor(next() * 4) } })
    if (fails) Object.assign(span, { status: 'ERROR', error: errors[m.provider][trouble ? 0 : Math.floor(next() * errors[m.provider].length)] })
    else Object.assign(span, { ttft_ms: round(ttft, 3), finish_reason: tools ? 'tool_calls' : 'stop', tokens: { input, output, ...(cached ? { cached } : {}), total: input + output },
      cost_usd: round(((input - cached) * m.input + cached * m.input / 2 + output * m.output) / 1e6, 8), events: [{ name: 'gen_ai.first_token', timestamp: Math.round(at + ttft) }],
      completion: [tools ? { role: 'assistant', content: null, tool_calls: [{ id: 'call_1', type: 'function', function: { name: turn.tool[0], arguments: turn.tool[1] } }] } : { role: 'assistant', content: turn.answer }] })
    at += took + 2
    return span
  }
  const refused = models[name].provider === 'openai' ? trouble ? next() < 0.62 : next() < 0.012 : next() < 0.008
  if (turn.tool && !refused) {
    call(name, { tools: true })
    const took = 14 + next() * 90, [tool, args, result] = turn.tool, id = hex(next, 16)
    add({ span_id: id, parent_span_id: agent, operation: `execute_tool ${tool}`, kind: 'tool', start: at, duration_ms: took, prompt: args, completion: result, attributes: { 'gen_ai.tool.name': tool } })
    if (turn.service) add({ span_id: hex(next, 16), parent_span_id: id, operation: 'GET /orders/{id}', kind: 'other', service: turn.service, start: at + 1.2, duration_ms: took - 2, attributes: { 'http.request.method': 'GET' } })
    at += took + 1
  }
  const main = call(name, { fails: refused })
  let lost = false, output = turn.answer
  if (refused) {
    const luck = next()
    if (luck < 0.6) call(models[name].provider === 'openai' ? 'claude-sonnet-4-5' : 'gpt-4o-mini')
    else if (luck < 0.85) output = sorry
    else lost = true
  } else if (next() < 0.14) main.scores.push({ name: 'thumbs', value: next() < models[name].score ? 1 : 0, user_id: user, time: iso(at + 20_000) })
  if (plan) add({ span_id: agent, parent_span_id: root, operation: 'invoke_agent packing_planner', kind: 'agent', start: planned, duration_ms: at - planned + 2, attributes: { 'gen_ai.agent.name': 'packing_planner' }, ...(lost ? { status: 'ERROR', error: 'no answer from a model' } : {}) })
  add({ span_id: root, operation: index ? 'chat.continue_thread' : 'chat.start_thread', kind: 'turn', start, duration_ms: at - start + 6, prompt: turn.ask, ...(lost ? { status: 'ERROR', error: `no answer for the shopper: ${main.error}` } : { completion: output }), attributes: { 'chat.message_count': 1 + 2 * index },
    events: [{ name: 'chat.turn.start', timestamp: Math.round(start) }, { name: 'chat.turn.complete', timestamp: Math.round(at + 6) }], ...(refused && !lost ? { fallback: true } : {}) })
  return { trace_id, spans: spans.reverse() }
}

/* About `count` traces of the last `days` days, newest first; another seed makes others. */
export function makeStory(count, now, days = 1, seed = 2024) {
  const next = random(seed), traces = []
  for (let c = 0; traces.length < count; c++) {
    const script = pick(next, conversations, s => s.weight)
    let start
    do start = now - 10_000 - next() * days * 24 * HOUR; while (next() > busy(start))
    const user = `shopper-${1000 + Math.floor(next() ** 1.5 * Math.max(40, count / 14))}`, thread = `thread-${(48_000 + c + seed).toString(36)}${hex(next, 3)}`
    const stays = 1 + Math.floor(next() * script.turns.length * 1.2)
    for (let i = 0; i < Math.min(stays, script.turns.length) && start < now - 5000; i++) {
      const trace = makeTurn(next, { start, now, thread, user, turn: script.turns[i], index: i, plan: script.plan && i === 0 })
      traces.push(trace)
      start += trace.spans[0].duration_ms + 12_000 + next() * 70_000
      if (trace.spans[0].status === 'ERROR') break // who got no answer has left
    }
  }
  return traces.sort((a, b) => b.spans[0].start < a.spans[0].start ? -1 : 1)
}

export function summaryOf({ trace_id, spans }) {
  const root = spans[0], llm = spans.filter(s => s.kind === 'llm'), paid = spans.filter(s => s.cost_usd !== undefined)
  const sum = key => llm.reduce((n, s) => n + (s.tokens?.[key] ?? 0), 0)
  return { trace_id, operation: root.operation, service: root.service, start: root.start, duration_ms: root.duration_ms, status: root.status, error: root.error, models: [...new Set(llm.map(s => s.model))], provider: llm[0]?.provider, span_count: spans.length, llm_calls: llm.length,
    ...(sum('total') ? { tokens: { input: sum('input'), output: sum('output'), cached: sum('cached'), total: sum('total') }, cost_usd: round(paid.reduce((n, s) => n + s.cost_usd, 0), 8) } : {}), user_id: root.user_id, thread_id: root.thread_id, turn_id: root.turn_id, ...(root.fallback ? { fallback: true } : {}) }
}

/* A trace of very many spans, for measuring. */
export function bigTrace(count, now) {
  const next = random(99)
  const spans = [{ span_id: hex(next, 16), operation: 'agent.plan_trip', kind: 'agent', service: 'planner', start: iso(now - 60_000), duration_ms: 58_000, status: 'OK', attributes: {} }]
  const starts = [now - 60_000]
  const kinds = ['llm', 'tool', 'retrieval', 'chain', 'embedding', 'agent']
  for (let i = 1; i < count; i++) {
    const parent = Math.floor(Math.max(0, i - 1 - next() * 40)), p = spans[parent]
    const start = starts[parent] + next() * p.duration_ms * 0.7
    starts.push(start)
    spans.push({ span_id: hex(next, 16), parent_span_id: p.span_id, operation: `step ${i}`, kind: kinds[i % 6], service: 'planner', start: iso(start), duration_ms: round(Math.max(0.2, next() * (starts[parent] + p.duration_ms - start)), 3), status: next() < 0.01 ? 'ERROR' : 'OK', attributes: { 'step.number': i } })
  }
  return { trace_id: 'b1'.padEnd(32, '0'), spans }
}
