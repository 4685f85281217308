// What the made-up server knows beside spans: monitors, its own state, keys, prices, and a few SQL statements that it can answer.

const ago = minutes => new Date(Date.now() - minutes * 60_000).toISOString()

export const prices = { prices: [
  ['openai', 'gpt-4o', 2.5, 1.25, undefined, 10], ['openai', 'gpt-4o-mini', 0.15, 0.075, undefined, 0.6], ['openai', 'text-embedding-3-small', 0.02],
  ['anthropic', 'claude-sonnet-4-5*', 3, 0.3, 3.75, 15], ['google', 'gemini-2.5-flash', 0.3, 0.03, undefined, 2.5],
].map(([provider, model, input, cached, cache_write, output]) => ({ provider, model, input, cached, cache_write, output, valid_from: '2025-06-01', source: model === 'gpt-4o' ? 'prices.yaml' : 'built-in' })) }

/* Shapes of src/alert/alerts.c and alert_db.c. */
export function makeAlerts() {
  const silences = []
  return {
    list: () => ({ file: 'monitors.yaml', silences, targets: [{ name: 'oncall', kind: 'pagerduty' }, { name: 'shop-channel', kind: 'slack' }], monitors: [
      { name: 'LLM error rate is high', type: 'metric alert', query: 'sum(last_10m):count:ai_storefront.llm.errors{*} by {provider} > 5', message: 'More than {{threshold}} calls failed. @oncall', critical: 5, warning: 2, unit: 'error', tags: ['team:storefront'], groups: [
        { group: 'provider:anthropic', state: 'OK', since: ago(900), value: 0, history: [] },
        { group: 'provider:openai', state: 'OK', since: ago(158), value: 1, history: [{ at: ago(158), from: 'ALERT', to: 'OK', value: 1 }, { at: ago(188), from: 'WARN', to: 'ALERT', value: 9 }, { at: ago(189), from: 'OK', to: 'WARN', value: 3 }] }] },
      { name: 'Answers are slow', type: 'metric alert', query: 'avg(last_5m):avg:ai_storefront.llm.duration{*} > 3000', message: 'The mean LLM call takes {{value}} ms. @shop-channel', critical: 3000, warning: 2000, unit: 'millisecond', tags: [], groups: [
        { group: '', state: 'ALERT', since: ago(6), value: 3412.7, history: [{ at: ago(6), from: 'WARN', to: 'ALERT', value: 3102.4 }, { at: ago(14), from: 'OK', to: 'WARN', value: 2210.8 }] }] },
      { name: 'Token budget', type: 'metric alert', query: 'sum(last_1h):sum:ai_storefront.llm.tokens{*} > 1000000', message: 'More tokens than planned.', critical: 1_000_000, unit: 'token', tags: ['team:finance'], groups: [{ group: '', state: 'OK', since: ago(3000), value: 412_000, history: [] }] },
      { name: 'No conversations', type: 'metric alert', query: 'sum(last_30m):sum:ai_storefront.chat.turns{service:kiosk} < 1', critical: 1, unit: 'turn', tags: [], groups: [{ group: '', state: 'NO DATA', since: ago(600), history: [{ at: ago(600), from: 'OK', to: 'NO DATA' }] }] },
      { name: 'Mistyped', query: 'avg(last_5m):avg:ai_storefront.llm.duraton{*} > 1', error: 'monitors.yaml: Mistyped: column 19: there is no metric llm.duraton, did you mean llm.duration?', tags: [], groups: [] },
    ] }),
    silence: body => { silences.push({ id: silences.length + 1, monitor: body.monitor, group: body.group, reason: body.reason, until: new Date(Date.now() + body.minutes * 60_000).toISOString() }); return {} },
    unsilence: id => { silences.splice(silences.findIndex(s => s.id === id), 1); return {} },
  }
}

export function makeKeys() {
  const keys = [{ id: 1, name: 'storefront-production', scopes: 'ingest', project: 'default', created: ago(40_000), last_used: ago(0.2) }, { id: 2, name: 'analytics notebook', scopes: 'read', created: ago(9000), last_used: ago(700) }]
  return {
    list: () => ({ keys }),
    add: body => { const id = keys.length + 1; keys.push({ id, ...body, created: ago(0) }); return { id, ...body, key: 'vt_' + 'k3Jd9sQw'.repeat(4) } },
    remove: id => { const at = keys.findIndex(k => k.id === id); if (at < 0) return null; keys.splice(at, 1); return {} },
  }
}

export const statusOf = (spans, live) => ({ version: '0.1.0', started: ago(4210), uptime_s: 252_600, store: { dir: '/var/lib/vitrine', spans_total: spans.length, segments: 14, segment_bytes: spans.length * 310, wal_bytes: 1_840_000, memtable_rows: 3120, oldest: spans[spans.length - 1]?.start, newest: spans[0]?.start, disk_free_bytes: 182e9, disk_full: false, segments_set_aside: 0 },
  ingest: { spans_per_s: 3.4, accepted: spans.length, rejected: 3, last_error: { time: ago(95), source: '/v1/traces', message: 'span 4: end is before start' } }, queues: { wal: 0, query: 0 }, live_clients: live, retention: { age_s: 2_592_000 }, durability: 'sync', keys_required: false,
  listen: ['127.0.0.1:4318'], grpc: '127.0.0.1:4317', masking: 'email,card', upstreams: ['openai', 'anthropic'] })

/* Not SQL: the shapes of answers, for three kinds of statements. */
export function sqlAnswer(sql, spans, mean) {
  const llm = spans.filter(s => s.kind === 'llm'), by = get => { const map = new Map(); for (const s of llm) map.set(get(s), [...(map.get(get(s)) ?? []), s]); return map }
  if (/pragma_table_info/.test(sql)) return { columns: ['t', 'name'], rows: ['spans', 'scores'].flatMap(t => ['trace_id', 'span_id', 'start_ms', 'start', 'duration_ms', 'operation', 'model', 'status', 'error', 'cost_usd'].map(name => [t, name])), elapsed_ms: 0.3 }
  if (!/^\s*(select|with)\b/i.test(sql)) return { error: { code: 'invalid', message: 'sql: only one SELECT is taken; this begins with another word', column: 1 } }
  if (/\bFORM\b/i.test(sql)) return { error: { code: 'invalid', message: 'sql: near "FORM": syntax error', column: sql.search(/\bFORM\b/i) + 1 } }
  if (/group by\s+(hour|1)/i.test(sql)) return { columns: ['hour', 'calls', 'cost'], rows: [...by(s => Math.floor(s.ms / 36e5) * 36e5)].sort((a, b) => a[0] - b[0]).map(([t, l]) => [new Date(t).toISOString(), l.length, Number(l.reduce((n, s) => n + (s.cost_usd ?? 0), 0).toFixed(4))]), elapsed_ms: 6.4 }
  if (/group by/i.test(sql)) return { columns: ['model', 'calls', 'p95_ms', 'cost_usd'], rows: [...by(s => s.model)].map(([m, l]) => [m, l.length, Math.round(mean(l.map(s => s.duration_ms), .95)), Number(l.reduce((n, s) => n + (s.cost_usd ?? 0), 0).toFixed(4))]), elapsed_ms: 3.1 }
  return { columns: ['trace_id', 'start', 'operation', 'model', 'duration_ms', 'error'], rows: spans.slice(0, 500).map(s => [s.trace_id, s.start, s.operation, s.model ?? null, s.duration_ms, s.error ?? null]), truncated: true, elapsed_ms: 2.2 }
}
