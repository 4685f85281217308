// A made-up storefront: the same every time (seeded), as large as one asks. Shapes as docs/api.md has them.

export function random(seed) {
  let a = seed >>> 0
  return () => {
    a = (a + 0x6d2b79f5) | 0
    let t = Math.imul(a ^ (a >>> 15), 1 | a)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

const models = [
  { model: 'gpt-4o', provider: 'openai', share: 0.34, speed: 62, ttft: 480, input: 2.5, output: 10, score: 0.91 },
  { model: 'gpt-4o-mini', provider: 'openai', share: 0.38, speed: 105, ttft: 310, input: 0.15, output: 0.6, score: 0.8 },
  { model: 'claude-sonnet-4-5', provider: 'anthropic', share: 0.2, speed: 74, ttft: 650, input: 3, output: 15, score: 0.94 },
  { model: 'gemini-2.5-flash', provider: 'google', share: 0.08, speed: 160, ttft: 260, input: 0.3, output: 2.5, score: 0.76 },
]
const talk = [
  ['Which jacket is good in the rain?', 'For steady rain I would take the **Fjord Shell**:\n\n- 20,000 mm water column, taped seams\n- weighs 410 g\n- in stock in S to XL\n\nWould you wear it over a fleece?'],
  ['Do you have it in green, size M?', 'Yes, the Fjord Shell in *moss green*, size M: **3 left** in the warehouse. It ships today if you order before 15:00.'],
  ['How do I send something back?', 'You have 30 days. Print the label from your order page, and drop the parcel at any post office. The refund comes within five days after it arrived.'],
  ['Compare the Fjord Shell and the Ridge Parka', '| | Fjord Shell | Ridge Parka |\n|---|---|---|\n| Weight | 410 g | 980 g |\n| Warm to | 5 °C | −15 °C |\n| Price | 219 € | 349 € |\n\nTake the parka for standing about in winter, the shell for everything that moves.'],
  ['My order 48213 has not arrived', 'Order **48213** left us on Monday and is with the carrier. It should reach you tomorrow.'],
  ['Something warm for my dad, he hikes a lot', 'Then I would look at the `Ridge` line. The fleece is 129 € and goes with everything he has.'],
]
const errors = ['429 Too Many Requests: rate limit reached for gpt-4o', 'upstream timed out after 30 s', '500 The server had an error while processing your request', 'context length exceeded: 131072 tokens']

const hex = (next, n) => Array.from({ length: n }, () => Math.floor(next() * 16).toString(16)).join('')
const round = (n, d = 6) => Number(n.toFixed(d))
const iso = ms => new Date(ms).toISOString().replace('Z', '000Z')

/* The i-th newest trace, whole. */
export function makeTrace(i, count, now, days) {
  const next = random(i * 7919 + 13)
  const age = (i + next()) / count * days * 86_400_000
  const start = now - age - 4000
  const pick = next()
  let m = models[0], sum = 0
  for (const one of models) { sum += one.share; if (pick <= sum) { m = one; break } }
  const thread = Math.floor(i / 3.4), user = Math.floor(random(thread + 5)() * 60)
  const turn = i % talk.length
  const trace_id = hex(random(i + 1), 32), base = { service: 'ai-storefront', user_id: `shopper-${user}`, thread_id: `thread-${thread}`, turn_id: `turn-${thread}-${i}` }
  const id = () => hex(next, 16)
  const failed = next() < 0.035, answered = failed && next() < 0.75
  const spans = []
  const root = id()
  let at = start + 3
  const add = span => { span = { trace_id, ...base, status: 'OK', attributes: {}, resource: { 'service.name': 'ai-storefront', 'service.version': '1.4.2', 'deployment.environment': 'production' }, events: [], scores: [], ...span, start: iso(span.start) }; spans.push(span); return span }
  if (next() < 0.6) {
    const took = 20 + next() * 60
    const search = id()
    add({ span_id: search, parent_span_id: root, operation: 'search_catalogue', kind: 'retrieval', start: at, duration_ms: round(took, 3), attributes: { 'retrieval.documents': 8, 'db.system': 'postgresql' } })
    add({ span_id: id(), parent_span_id: search, operation: 'embeddings text-embedding-3-small', kind: 'embedding', start: at + 1, duration_ms: round(took * 0.7, 3), provider: 'openai', model: 'text-embedding-3-small', tokens: { input: 14, total: 14 }, cost_usd: 0.0000003 })
    at += took + 2
  }
  const call = (model, fails, finish) => {
    const output = Math.round(60 + next() * 340), input = Math.round(350 + next() * 1400), cached = next() < 0.4 ? Math.round(input * 0.7) : 0
    const ttft = model.ttft * (0.6 + next() * next() * 2.2) , took = fails ? 300 + next() * 4000 : ttft + output / model.speed * 1000 * (0.8 + next() * 0.5)
    const prompt = [{ role: 'system', content: 'You are the assistant of Nordhaus, an outdoor shop. Be brief, be kind, and never promise what is not in stock.' }, { role: 'user', content: talk[turn][0] }]
    const span = { span_id: id(), parent_span_id: root, operation: model.provider === 'anthropic' ? 'anthropic.messages.create' : `${model.provider}.chat.completions.create`, kind: 'llm', start: at, duration_ms: round(took, 3), provider: model.provider, model: model.model, prompt, temperature: 0.7,
      attributes: { 'gen_ai.request.model': model.model, 'gen_ai.request.temperature': 0.7, 'gen_ai.request.max_tokens': 800, 'gen_ai.system': model.provider, 'shop.locale': 'en-GB', 'shop.cart.items': Math.floor(next() * 4) } }
    if (fails) Object.assign(span, { status: 'ERROR', error: errors[Math.floor(next() * errors.length)] })
    else Object.assign(span, { ttft_ms: round(ttft, 3), finish_reason: finish ?? 'stop', tokens: { input, output, ...(cached ? { cached } : {}), total: input + output },
      cost_usd: round(((input - cached) * model.input + cached * model.input / 2 + output * model.output) / 1e6, 8),
      completion: finish === 'tool_calls' ? [{ role: 'assistant', content: null, tool_calls: [{ id: 'call_1', type: 'function', function: { name: 'stock_level', arguments: '{"sku":"FJ-SHELL","size":"M","colour":"moss"}' } }] }] : [{ role: 'assistant', content: talk[turn][1] }],
      events: [{ name: 'gen_ai.first_token', timestamp: Math.round(at + ttft) }] })
    at += took + 2
    return add(span)
  }
  const toolTurn = turn === 1 && !failed
  if (toolTurn) {
    call(m, false, 'tool_calls')
    const took = 12 + next() * 40
    add({ span_id: id(), parent_span_id: root, operation: 'execute_tool stock_level', kind: 'tool', start: at, duration_ms: round(took, 3), prompt: '{"sku":"FJ-SHELL","size":"M","colour":"moss"}', completion: '{"sku":"FJ-SHELL","in_stock":3}', attributes: { 'gen_ai.tool.name': 'stock_level' } })
    at += took + 1
  }
  const main = call(m, failed)
  if (answered && next() < 0.6) call(models[1], false)
  if (!failed && next() < 0.12) main.scores.push({ name: 'thumbs', value: next() < m.score ? 1 : 0, created: iso(at + 20000) })
  const errored = failed && !answered
  add({ span_id: root, operation: 'chat.continue_thread', kind: 'turn', start, duration_ms: round(at - start + 6, 3), status: errored ? 'ERROR' : 'OK', ...(errored ? { error: 'no answer for the shopper: ' + main.error } : {}), attributes: { 'chat.thread_id': base.thread_id, 'chat.user_id': base.user_id, 'chat.message_count': 2 + (i % 9) }, events: [{ name: 'chat.turn.start', timestamp: Math.round(start) }, { name: 'chat.turn.complete', timestamp: Math.round(at + 6) }] })
  return { trace_id, spans: spans.reverse() }
}

export function summaryOf({ trace_id, spans }) {
  const root = spans.find(s => !s.parent_span_id), llm = spans.filter(s => s.kind === 'llm'), paid = spans.filter(s => s.cost_usd !== undefined)
  const sum = key => llm.reduce((n, s) => n + (s.tokens?.[key] ?? 0), 0)
  const fallback = root.status === 'OK' && llm.some(s => s.status === 'ERROR')
  return { trace_id, operation: root.operation, service: root.service, start: root.start, duration_ms: root.duration_ms, status: root.status, error: root.error, models: [...new Set(llm.map(s => s.model))], provider: llm[0]?.provider, span_count: spans.length, llm_calls: llm.length,
    tokens: { input: sum('input'), output: sum('output'), cached: sum('cached'), total: sum('total') }, cost_usd: paid.reduce((n, s) => n + s.cost_usd, 0), user_id: root.user_id, thread_id: root.thread_id, turn_id: root.turn_id, ...(fallback ? { fallback } : {}) }
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
