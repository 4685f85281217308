// Serves the page with made-up data, for work on the page without the program, and for measuring it at sizes that a laptop's
// store does not have at hand.
//
//   node dev/server.mjs [--port 5173] [--traces 4000] [--days 1] [--empty] [--key KEY] [--slow MS]
//
// Rebuilds the page for every load of it. A trace of 5,000 spans is at /traces/b1000000000000000000000000000000.
import { createHash } from 'node:crypto'
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { dirname, extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { bigTrace, makeStory, summaryOf } from './data.mjs'
import { makeAlerts, makeKeys, prices, sqlAnswer, statusOf } from './extras.mjs'

const here = dirname(fileURLToPath(import.meta.url)), dist = join(here, '../dist')
const args = process.argv.slice(2)
const option = (name, fallback) => { const i = args.indexOf('--' + name); return i < 0 ? fallback : args[i + 1] }
const port = Number(option('port', 5173)), size = args.includes('--empty') ? 0 : Number(option('traces', 4000)), days = Number(option('days', 1))
const key = option('key', ''), slow = Number(option('slow', 0))
const types = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript; charset=utf-8', '.css': 'text/css; charset=utf-8', '.svg': 'image/svg+xml' }
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

const now = Date.now()
const traces = makeStory(size, now, days)
const spans = traces.flatMap(t => t.spans.map(s => Object.assign(s, { ms: Date.parse(s.start) })))
const rows = traces.map(t => ({ ...summaryOf(t), ms: t.spans[0].ms, t }))
const byTrace = new Map(traces.map(t => [t.trace_id, t]))
const alerts = makeAlerts(), keys = makeKeys()
let live = 0
const big = bigTrace(Number(option('spans', 5000)), now)

class Bad extends Error {}
const unit = { s: 1e3, m: 6e4, h: 36e5, d: 864e5 }
const instant = text => {
  if (text === undefined || text === null || text === '') return NaN
  const m = /^-(\d+)([smhd])$/.exec(text)
  return text === 'now' ? Date.now() : m ? Date.now() - m[1] * unit[m[2]] : /^\d+$/.test(String(text)) ? Number(text) : Date.parse(text)
}
const number = text => { const m = /^([\d.]+)(ms|s|m)?$/.exec(text); if (!m) throw new Error(text); return Number(m[1]) * ({ s: 1000, m: 60000 }[m[2]] ?? 1) }
const alias = { user: 'user_id', thread: 'thread_id', turn: 'turn_id', duration: 'duration_ms', ttft: 'ttft_ms', cost: 'cost_usd', tokens: 'tokens.total' }
const known = ['model', 'provider', 'status', 'kind', 'service', 'operation', 'finish_reason', 'error', 'fallback', 'trace_id', 'has', ...Object.keys(alias), ...Object.values(alias)]
const field = (span, name) => name.startsWith('tokens.') ? span.tokens?.[name.slice(7)] : name.startsWith('attr.') ? span.attributes?.[name.slice(5)] : span[name]
const fallbacks = new Set(rows.filter(r => r.fallback).map(r => r.trace_id))

function filter(q = '') {
  const tests = []
  for (const m of (q ?? '').matchAll(/(-?)(?:([\w.]+):)?("(?:[^"\\]|\\.)*"|\S+)/g)) {
    const [, minus, name, raw] = m, text = raw.replace(/^"|"$/g, '').toLowerCase()
    let test
    if (!name) test = s => JSON.stringify([s.prompt, s.completion]).toLowerCase().includes(text)
    else if (!known.includes(name) && !name.startsWith('attr.')) throw Object.assign(new Bad(`there is no field "${name}"`), { column: m.index + 1 + minus.length, hint: 'Did you mean model?' })
    else if (name === 'has') test = s => field(s, alias[text] ?? text) !== undefined
    else if (name === 'fallback') test = s => fallbacks.has(s.trace_id) && s.kind === 'turn'
    else {
      const f = alias[name] ?? name, cmp = /^(>=|<=|>|<)(.+)$/.exec(text), range = /^(.+)\.\.(.+)$/.exec(text)
      const wild = new RegExp('^' + text.replace(/[.+?^${}()|[\]\\]/g, '\\$&').replace(/\*/g, '.*') + '$', 'i')
      try {
        if (cmp) { const n = number(cmp[2]); test = s => { const v = field(s, f); return v !== undefined && (cmp[1] === '>' ? v > n : cmp[1] === '<' ? v < n : cmp[1] === '>=' ? v >= n : v <= n) } }
        else if (range) { const [a, b] = [number(range[1]), number(range[2])]; test = s => { const v = field(s, f); return v >= a && v <= b } }
        else test = s => wild.test(String(field(s, f) ?? ''))
      } catch { throw Object.assign(new Bad(`expected a number or a duration such as 2s`), { column: m.index + 2 + minus.length + name.length }) }
    }
    tests.push(minus ? s => !test(s) : test)
  }
  return s => tests.every(t => t(s))
}

const quantile = (sorted, p) => sorted.length ? sorted[Math.min(sorted.length - 1, Math.floor(p * sorted.length))] : null
function aggregate(list, what) {
  if (what === 'count') return list.length
  if (what === 'error_rate') return list.length ? list.filter(s => s.status === 'ERROR').length / list.length : null
  const [, fn, f] = /^(\w+)\(([\w.]+)\)$/.exec(what) ?? []
  const values = list.map(s => field(s, f)).filter(v => v !== undefined)
  if (fn === 'sum') return values.length ? values.reduce((a, b) => a + b, 0) : null
  if (fn === 'avg') return values.length ? values.reduce((a, b) => a + b, 0) / values.length : null
  if (fn === 'distinct') return new Set(values).size
  if (/^p\d+$/.test(fn ?? '')) return quantile(values.sort((a, b) => a - b), Number(fn.slice(1)) / 100)
  if (fn === 'histogram') {
    const out = new Map()
    for (const v of values) { const i = Math.floor(Math.log(Math.max(v, 0.01)) / Math.log(1.02)); out.set(i, (out.get(i) ?? 0) + 1) }
    return [...out].sort((a, b) => a[0] - b[0]).map(([i, n]) => [1.02 ** i, 1.02 ** (i + 1), n])
  }
  throw new Bad(`cannot select "${what}"`)
}

const within = (list, from, to) => { const a = instant(from), b = instant(to); return list.filter(s => s.ms >= (Number.isNaN(a) ? now - 864e5 : a) && s.ms <= (Number.isNaN(b) ? Infinity : b)) }

function query(body) {
  const list = within(spans, body.from, body.to).filter(filter(body.where))
  const step = body.interval ? Number(body.interval.slice(0, -1)) * { ...unit, w: 6048e5 }[body.interval.slice(-1)] : 0
  const groups = new Map()
  for (const s of list) {
    const group = Object.fromEntries((body.group_by ?? []).map(g => [g, field(s, g)]).filter(([, v]) => v !== undefined))
    const id = JSON.stringify(group)
    if (!groups.has(id)) groups.set(id, { group, points: new Map() })
    const t = step ? Math.floor(s.ms / step) * step : instant(body.from)
    const at = groups.get(id).points
    if (!at.has(t)) at.set(t, [])
    at.get(t).push(s)
  }
  return { series: [...groups.values()].map(g => ({ group: g.group, points: [...g.points].sort((a, b) => a[0] - b[0]).map(([t, l]) => [t, ...body.select.map(w => aggregate(l, w))]) })), elapsed_ms: 4.2 }
}

function traceList(p) {
  const test = filter(p.get('q')), limit = Math.min(1000, Number(p.get('limit') ?? 50)), at = Number(p.get('cursor') ?? 0)
  const list = within(rows, p.get('from'), p.get('to'))
  const out = []
  let i = at
  for (; i < list.length && out.length < limit; i++) if (!p.get('q') || list[i].t.spans.some(test)) { const { t, ms, ...row } = list[i]; out.push(row) }
  return { traces: out, ...(i < list.length ? { next: String(i) } : {}), scanned: list.length, elapsed_ms: 3.1 }
}

const sum = (list, get) => list.reduce((n, x) => n + (get(x) ?? 0), 0)
const tokensOf = list => ({ input: sum(list, s => s.tokens?.input), output: sum(list, s => s.tokens?.output), cached: sum(list, s => s.tokens?.cached), total: sum(list, s => s.tokens?.total) })
const grouped = (list, get) => { const map = new Map(); for (const x of list) { const k = get(x); if (k !== undefined) map.set(k, [...(map.get(k) ?? []), x]) } return map }

function numbers(list) {
  const llm = list.filter(s => s.kind === 'llm'), turns = list.filter(s => s.kind === 'turn'), times = llm.map(s => s.duration_ms).sort((a, b) => a - b), first = llm.map(s => s.ttft_ms).filter(Boolean).sort((a, b) => a - b)
  const errors = llm.filter(s => s.status === 'ERROR').length, threads = new Set(turns.map(s => s.thread_id)).size, users = new Set(list.map(s => s.user_id)).size, fallen = turns.filter(s => fallbacks.has(s.trace_id)).length, cost = sum(list, s => s.cost_usd)
  const known = value => value === null ? undefined : value
  return { llm_calls: llm.length, errors, error_rate: llm.length ? errors / llm.length : undefined, p50_ms: known(quantile(times, .5)), p95_ms: known(quantile(times, .95)), p99_ms: known(quantile(times, .99)), ttft_p50_ms: known(quantile(first, .5)), ttft_p95_ms: known(quantile(first, .95)),
    tokens: tokensOf(llm), cost_usd: cost, turns: turns.length, threads, turns_per_thread: threads ? turns.length / threads : undefined, active_users: users, returning_users: Math.floor(users / 3), new_users: users - Math.floor(users / 3), fallbacks: fallen, fallback_rate: turns.length ? fallen / turns.length : undefined, cost_per_thread_usd: threads ? cost / threads : undefined }
}

function overview(p) {
  const from = instant(p.get('from') ?? '-24h'), to = instant(p.get('to') ?? 'now'), test = filter(p.get('q')), list = within(spans, from, to).filter(test)
  const step = Number((p.get('interval') ?? '30m').slice(0, -1)) * { ...unit, w: 6048e5 }[(p.get('interval') ?? '30m').slice(-1)]
  const points = [...grouped(list, s => Math.floor(s.ms / step) * step)].sort((a, b) => a[0] - b[0]).map(([t, l]) => { const n = numbers(l); return [t, n.llm_calls, n.error_rate ?? null, n.p50_ms ?? null, n.p95_ms ?? null, n.ttft_p50_ms ?? null, n.tokens.input, n.tokens.output, n.tokens.cached, n.cost_usd, n.turns, n.threads, n.active_users, n.fallbacks] })
  const llm = list.filter(s => s.kind === 'llm'), now = numbers(list)
  const models = [...grouped(llm, s => s.model)].map(([model, l]) => { const n = numbers(l); return { model, provider: l[0].provider, calls: l.length, share: l.length / llm.length, ...n, cost_share: n.cost_usd / now.cost_usd } }).sort((a, b) => b.calls - a.calls)
  const lineColumns = ['llm_calls', 'errors', 'p50_ms', 'p95_ms', 'p99_ms', 'ttft_p50_ms', 'cost_usd', 'tokens.input', 'tokens.output']
  const lineOf = l => { const n = numbers(l); return lineColumns.map(c => (c.startsWith('tokens.') ? n.tokens[c.slice(7)] : n[c]) ?? null) }
  const lines = name => ({ columns: lineColumns, series: [...grouped(llm, s => s[name])].sort((a, b) => b[1].length - a[1].length).slice(0, 8).map(([key, l]) => ({ group: { [name]: key }, total: lineOf(l), points: [...grouped(l, s => Math.floor(s.ms / step) * step)].sort((a, b) => a[0] - b[0]).map(([t, at]) => [t, ...lineOf(at)]) })) })
  const scored = llm.filter(s => s.scores.length)
  return { from_ms: from, to_ms: to, interval_ms: step, now, ...(p.get('compare') ? { previous: numbers(within(spans, 2 * from - to, from).filter(test)) } : {}),
    trend: { columns: ['llm_calls', 'error_rate', 'p50_ms', 'p95_ms', 'ttft_p50_ms', 'tokens.input', 'tokens.output', 'tokens.cached', 'cost_usd', 'turns', 'threads', 'active_users', 'fallbacks'], points }, models, ...(p.get('lines') ? { model_lines: lines('model'), provider_lines: lines('provider') } : {}),
    providers: [...grouped(llm, s => s.provider)].map(([provider, l]) => ({ provider, calls: l.length, ...numbers(l) })),
    scores: [...grouped(scored, s => s.model)].map(([model, l]) => ({ name: 'thumbs', model, count: l.length, avg: sum(l, s => s.scores[0].value) / l.length, cost_usd: sum(l, s => s.cost_usd) / l.length })), elapsed_ms: 5 }
}

function facets(p) {
  const list = within(spans, p.get('from'), p.get('to')).filter(filter(p.get('q')))
  const names = (p.get('fields') ?? 'status,kind,model,provider,operation,service,user_id,finish_reason').split(',')
  return { facets: names.map(name => { const all = [...grouped(list, s => field(s, name))].map(([value, l]) => ({ value, count: l.length })).sort((a, b) => b.count - a.count); return { field: name, values: all.slice(0, Number(p.get('limit') ?? 20)), more: all.length > 20 } }) }
}

const threadRow = ([thread_id, list]) => ({ thread_id, user_id: list[0].user_id, first: list[list.length - 1].start, last: list[0].start, turn_count: list.length, llm_calls: sum(list, r => r.llm_calls), errors: list.filter(r => r.status === 'ERROR').length, fallbacks: list.filter(r => r.fallback).length, tokens: tokensOf(list), cost_usd: sum(list, r => r.cost_usd), models: [...new Set(list.flatMap(r => r.models))] })
const threadOrder = { turns: (a, b) => b.turn_count - a.turn_count, cost: (a, b) => b.cost_usd - a.cost_usd, tokens: (a, b) => b.tokens.total - a.tokens.total, errors: (a, b) => b.errors - a.errors }
function threads(p) {
  const test = filter(p.get('q')), all = [...grouped(within(rows, p.get('from'), p.get('to')).filter(r => r.t.spans.some(test)), r => r.thread_id)].map(threadRow).sort(threadOrder[p.get('sort')] ?? (() => 0)), at = Number(p.get('cursor') ?? 0), limit = Number(p.get('limit') ?? 50)
  return { threads: all.slice(at, at + limit), ...(at + limit < all.length ? { next: String(at + limit) } : {}) }
}
function thread(id) {
  const list = rows.filter(r => r.thread_id === id)
  if (!list.length) return null
  return { ...threadRow([id, list]), turns: [...list].reverse().map(r => {
    const root = r.t.spans[0], calls = r.t.spans.filter(s => s !== root && s.kind !== 'other')
    return { ...r, t: undefined, span_id: root.span_id, input: root.prompt, output: root.completion, calls: calls.map(s => ({ ...s, prompt: undefined, completion: undefined })).sort((a, b) => a.ms - b.ms), scores: calls.flatMap(s => s.scores) }
  }) }
}
const users = p => ({ users: [...grouped(within(spans, p.get('from'), p.get('to')).filter(filter(p.get('q'))), s => s.user_id)].map(([user_id, l]) => { const n = numbers(l); return { user_id, calls: n.llm_calls, turns: n.turns, threads: n.threads, errors: n.errors, error_rate: n.error_rate, tokens: n.tokens, cost_usd: n.cost_usd, first: new Date(Math.min(...l.map(s => s.ms))).toISOString(), last: new Date(Math.max(...l.map(s => s.ms))).toISOString() } }).sort((a, b) => ({ calls: b.calls - a.calls, tokens: b.tokens.total - a.tokens.total, errors: b.errors - a.errors, last: b.last < a.last ? -1 : 1 }[p.get('sort')] ?? b.cost_usd - a.cost_usd)).slice(0, Number(p.get('limit') ?? 50)) })

function services(p) {
  const list = within(spans, p.get('from'), p.get('to')).filter(filter(p.get('q'))), byId = new Map(list.map(s => [s.span_id, s])), seconds = (instant(p.get('to') ?? 'now') - instant(p.get('from') ?? '-24h')) / 1000
  const about = l => { const errors = l.filter(s => s.status === 'ERROR').length, times = l.map(s => s.duration_ms).sort((a, b) => a - b); return { errors, error_rate: errors / l.length, rate: l.length / seconds, p50_ms: quantile(times, .5), p95_ms: quantile(times, .95) } }
  const calls = grouped(list, s => { const parent = byId.get(s.parent_span_id); return s.provider ? `${s.service}>${s.provider}` : parent && parent.service !== s.service ? `${parent.service}>${s.service}` : undefined })
  return { services: [...grouped(list, s => s.service)].map(([service, l]) => ({ service, spans: l.length, ...about(l) })), calls: [...calls].map(([pair, l]) => ({ from: pair.split('>')[0], to: pair.split('>')[1], count: l.length, ...about(l) })), scanned: list.length, elapsed_ms: 7 }
}

const addScore = body => { const span = byTrace.get(body.trace_id)?.spans.find(s => s.span_id === body.span_id); span?.scores.push({ ...body, time: new Date().toISOString() }); return span ? { score_id: 1 } : null }
const routes = [
  ['GET', /^\/api\/v1\/traces$/, (_m, p) => traceList(p)],
  ['GET', /^\/api\/v1\/traces\/(\w+)$/, m => m[1] === big.trace_id ? big : byTrace.get(m[1])],
  ['POST', /^\/api\/v1\/query$/, (_m, _p, body) => query(body)],
  ['GET', /^\/api\/v1\/overview$/, (_m, p) => overview(p)],
  ['GET', /^\/api\/v1\/facets$/, (_m, p) => facets(p)],
  ['GET', /^\/api\/v1\/threads$/, (_m, p) => threads(p)],
  ['GET', /^\/api\/v1\/threads\/(.+)$/, m => thread(decodeURIComponent(m[1]))],
  ['GET', /^\/api\/v1\/users$/, (_m, p) => users(p)],
  ['POST', /^\/api\/v1\/scores$/, (_m, _p, body) => addScore(body)],
  ['GET', /^\/api\/v1\/services$/, (_m, p) => services(p)],
  ['GET', /^\/api\/v1\/status$/, () => statusOf(spans, live)],
  ['GET', /^\/api\/v1\/prices$/, () => prices],
  ['GET', /^\/api\/v1\/keys$/, () => keys.list()],
  ['POST', /^\/api\/v1\/keys$/, (_m, _p, body) => keys.add(body)],
  ['DELETE', /^\/api\/v1\/keys\/(\d+)$/, m => keys.remove(Number(m[1]))],
  ['GET', /^\/api\/v1\/alerts$/, () => alerts.list()],
  ['POST', /^\/api\/v1\/alerts\/silences$/, (_m, _p, body) => alerts.silence(body)],
  ['DELETE', /^\/api\/v1\/alerts\/silences\/(\d+)$/, m => alerts.unsilence(Number(m[1]))],
  ['POST', /^\/api\/v1\/sql$/, (_m, _p, body) => {
    const answer = sqlAnswer(body.sql, spans, (list, p) => quantile(list.sort((a, b) => a - b), p))
    if (answer.error) throw Object.assign(new Bad(answer.error.message), { column: answer.error.column })
    return answer
  }],
]

function send(response, status, type, body, headers = {}) {
  const data = gzipSync(body)
  response.writeHead(status, { 'content-type': type, 'content-encoding': 'gzip', 'content-length': data.length, 'content-security-policy': policy, ...headers })
  response.end(data)
}
const fail = (response, status, code, message, more = {}) => send(response, status, 'application/json', JSON.stringify({ error: { code, message, ...more } }))

createServer(async (request, response) => {
  const url = new URL(request.url, 'http://x')
  if (url.pathname.startsWith('/api/') || url.pathname.startsWith('/v1/')) {
    if (key && request.headers.authorization !== 'Bearer ' + key) return fail(response, 401, 'unauthenticated', 'this server needs a key', { hint: 'Send it as Authorization: Bearer KEY.' })
    let body = ''
    for await (const piece of request) body += piece
    await new Promise(done => setTimeout(done, slow))
    const route = routes.find(r => r[0] === request.method && r[1].test(url.pathname))
    try {
      const answer = route && route[2](route[1].exec(url.pathname), url.searchParams, body ? JSON.parse(body) : undefined)
      if (!answer) return fail(response, 404, 'not_found', `there is no ${url.pathname}`)
      send(response, 200, 'application/json', JSON.stringify(answer))
    } catch (e) {
      fail(response, e instanceof Bad ? 400 : 500, e instanceof Bad ? 'bad_request' : 'internal', e.message, { column: e.column, hint: e.hint })
      if (!(e instanceof Bad)) console.error(e)
    }
    return
  }
  try {
    if (!url.pathname.startsWith('/assets/')) execFileSync(process.execPath, [join(here, '../build.mjs'), '--dist', dist])
    const file = url.pathname.startsWith('/assets/') ? url.pathname : '/index.html'
    send(response, 200, types[extname(file)], readFileSync(join(dist, file)))
  } catch (e) { fail(response, 500, 'build', String(e.stderr ?? e)) }
}).on('upgrade', (request, socket) => {
  const accept = createHash('sha1').update(request.headers['sec-websocket-key'] + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11').digest('base64')
  socket.write(`HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: ${accept}\r\n\r\n`)
  live++
  let test = () => true
  const say = message => {
    const data = Buffer.from(JSON.stringify(message))
    const head = data.length < 126 ? Buffer.from([0x81, data.length]) : Buffer.from([0x81, 126, data.length >> 8, data.length & 255])
    socket.write(Buffer.concat([head, data]))
  }
  const narrow = q => { try { test = filter(q) } catch (e) { say({ error: { code: 'invalid', message: e.message, column: e.column } }) } }
  narrow(new URL(request.url, 'http://x').searchParams.get('q'))
  const timer = setInterval(() => {
    const pick = spans[Math.floor(Math.random() * spans.length)]
    if (pick && test(pick)) say({ ...pick, ms: undefined, start: new Date().toISOString() })
  }, Number(option('live', 150)))
  socket.on('data', data => { // one short masked text frame
    const length = data[1] & 127
    if ((data[0] & 15) !== 1 || length > 125) return
    const text = Buffer.from(data.subarray(6, 6 + length).map((byte, i) => byte ^ data[2 + i % 4])).toString()
    try { narrow(JSON.parse(text).q) } catch { /* not ours */ }
  })
  const over = () => { clearInterval(timer); live-- }
  socket.on('close', over).on('error', () => socket.destroy())
}).listen(port, '127.0.0.1', function () { console.log(`http://127.0.0.1:${this.address().port}  ${traces.length} traces, ${spans.length} spans`) })
