// The questions that pages ask of POST /api/v1/query, in one place, and their answers in the form that charts take.

import { api } from './api'
import { both } from './filter'
import { readPref, writePref } from './prefs'
import type { Lines, Overview, Point, QueryRequest, Series } from './types'
import type { Bucket } from '../parts/histogram'
import type { Line } from '../parts/chart'
import type { ScatterPoint } from '../parts/scatter'
import { count, duration, type Format, percent, usd } from './format'

export type Window = { from: number; to: number; q?: string }
type Step = { text: string; ms: number }

/* All series of an answer on one time grid, gaps as null. */
export function grid(series: Series[], window: Window, step: number): { times: number[]; rows: Map<Series, Map<number, Point>> } {
  const set = new Set<number>()
  for (const s of series) for (const p of s.points) if (p[0] !== null) set.add(p[0])
  const known = [...set].sort((a, b) => a - b)
  const first = known[0] ?? Math.ceil(window.from / step) * step
  const start = first - Math.floor((first - window.from) / step) * step
  const times: number[] = []
  for (let t = start; t <= window.to && times.length < 5000; t += step) times.push(t)
  const rows = new Map(series.map(s => [s, new Map(s.points.map(p => [p[0] as number, p]))]))
  return { times, rows }
}
export function column(series: Series, g: ReturnType<typeof grid>, index: number, gap: number | null = null): (number | null)[] {
  const rows = g.rows.get(series)!
  return g.times.map(t => rows.get(t)?.[index + 1] ?? gap)
}
export const value = (series: Series | undefined, index: number): number | undefined => (series?.points[0]?.[index + 1] ?? undefined) as number | undefined

export function ask(window: Window, body: Omit<QueryRequest, 'from' | 'to'>, signal?: AbortSignal) {
  return api.aggregate({ from: window.from, to: window.to, ...body, where: both(window.q, body.where) || undefined }, signal)
}

export interface Facet { field: string; name: string; more?: boolean; values: { value: string; count: number }[] }
const facetNames: Record<string, string> = { status: 'Status', kind: 'Kind of work', model: 'Model', provider: 'Provider', operation: 'Operation', service: 'Service', user_id: 'User', user: 'User', finish_reason: 'Finish reason' }
/* The name that filters use for it. */
const filterNames: Record<string, string> = { user_id: 'user', thread_id: 'thread', turn_id: 'turn' }

export async function facets(scope: Window, signal: AbortSignal): Promise<Facet[]> {
  const answer = await api.facets(scope, signal)
  return answer.facets.filter(f => f.values.length > 0).map(f => ({
    field: filterNames[f.field] ?? f.field, name: facetNames[f.field] ?? f.field, more: f.more,
    values: f.values.map(v => ({ value: f.field === 'status' ? v.value.toLowerCase() : v.value, count: v.count })),
  }))
}

/* One colour a name, the same in all charts and, remembered here, on every visit. */
const ring = ['--c1', '--c2', '--c3', '--c4', '--c5', '--c6', '--c7']
const NAMES_MAX = 60
const known: string[] = readPref('colours', [])
export function colourOf(name: string): string {
  if (!name) return '--c8'
  let at = known.indexOf(name)
  if (at < 0) {
    if (known.length >= NAMES_MAX) known.length = 0 // names that come and go: begin again
    at = known.push(name) - 1
    writePref('colours', known)
  }
  return ring[at % ring.length]
}

/* What charts show of each model, by the names of the overview's columns: its sums have no gaps, only zeroes. */
const modelColumns = { calls: ['llm_calls'], p50: ['p50_ms'], p95: ['p95_ms'], p99: ['p99_ms'], ttft: ['ttft_p50_ms'], cost: ['cost_usd'], tokens: ['tokens.input', 'tokens.output'] }
export type ModelMeasure = keyof typeof modelColumns
const sums: Partial<Record<ModelMeasure, Format>> = { cost: usd, calls: count, tokens: count }
const NO_LINES: Lines = { columns: [], series: [] }

/* The value of some columns of a point taken together; null when none is known. `first` is where the columns begin. */
function taken(point: Point | undefined, columns: number[], first: number): number | null {
  const known = columns.map(i => point?.[i + first]).filter((v): v is number => typeof v === 'number')
  return known.length ? known.reduce((a, b) => a + b, 0) : null
}

export function modelLines(o: Overview, window: Window) {
  const all = o.model_lines ?? NO_LINES, g = grid(all.series, window, o.interval_ms)
  all.series.forEach(s => colourOf(s.group.model ?? ''))
  const lines = (what: ModelMeasure): Line[] => all.series.flatMap(s => {
    const columns = modelColumns[what].map(name => all.columns.indexOf(name)), total = taken(s.total, columns, 0), rows = g.rows.get(s)!, model = s.group.model ?? ''
    if (total === null || (what === 'cost' && total === 0)) return []
    return [{ key: model, name: model || 'no model given', color: colourOf(model), values: g.times.map(t => taken(rows.get(t), columns, 1) ?? (sums[what] ? 0 : null)), total: (sums[what] ?? duration)(total) }]
  })
  return { times: g.times, lines, left: !o.model_lines && o.models.length > 0 }
}

/* Failed calls by provider. */
export function providerLines(o: Overview, window: Window): { times: number[]; lines: Line[] } {
  const all = o.provider_lines ?? NO_LINES, errors = all.columns.indexOf('errors')
  const failing = all.series.filter(s => Number(s.total[errors]) > 0).sort((a, b) => Number(b.total[errors]) - Number(a.total[errors]))
  const g = grid(failing, window, o.interval_ms)
  return { times: g.times, lines: failing.map((s, i) => (
    { key: s.group.provider ?? '', name: s.group.provider || 'not given', color: ['--bad', '--c3', '--c4', '--c7', '--c8'][i % 5], values: column(s, g, errors, 0), total: count(Number(s.total[errors])) }
  )) }
}

/* One column of the overview's trend on its own time grid; gaps are 0 where nothing happened and null where nothing is known. */
export function trendOf(o: Overview, window: Window) {
  const columns = new Map(o.trend.columns.map((name, i) => [name, i]))
  const g = grid([{ group: {}, points: o.trend.points }], window, o.interval_ms)
  const points = [...g.rows.values()][0]
  const of = (name: string, gap: number | null = null) => {
    const i = columns.get(name)
    return g.times.map(t => i === undefined ? gap : points.get(t)?.[i + 1] ?? gap)
  }
  return { times: g.times, of }
}

export function chatLines(o: Overview, window: Window) {
  const { times, of } = trendOf(o, window)
  const turns = of('turns', 0), threads = of('threads', 0), users = of('active_users', 0), fallbacks = of('fallbacks', 0)
  const per = (a: (number | null)[], b: (number | null)[]) => a.map((n, i) => b[i] ? Number(n) / b[i]! : null)
  const line = (key: string, name: string, color: string, values: (number | null)[], total?: string): Line => ({ key, name, color, values, total })
  return {
    times,
    fallbacks: [line('*', 'Turns with a fallback', '--c3', per(fallbacks, turns), percent(o.now.fallback_rate))],
    activity: [line('turns', 'Turns', '--c1', turns, count(o.now.turns)), line('threads', 'Conversations', '--c2', threads, count(o.now.threads)), line('users', 'Active users', '--c3', users, count(o.now.active_users))],
    depth: [line('*', 'Turns a conversation', '--c1', per(turns, threads), count(o.now.turns_per_thread))],
  }
}

export function tokenLines(o: Overview, window: Window): { times: number[]; lines: Line[] } {
  const { times, of } = trendOf(o, window)
  const input = of('tokens.input', 0), cached = of('tokens.cached', 0), output = of('tokens.output', 0), t = o.now.tokens ?? {}
  const lines: Line[] = [
    { key: 'input', name: 'Input', color: '--c5', values: input.map((n, i) => Number(n) - Number(cached[i])), total: count((t.input ?? 0) - (t.cached ?? 0)) },
    { key: 'cached', name: 'Cached', color: '--q50', values: cached, total: count(t.cached ?? 0) },
    { key: 'output', name: 'Output', color: '--c2', values: output, total: count(t.output ?? 0) },
  ]
  return { times, lines: lines.filter(l => l.values.some(v => v)) }
}

/* One point a model: the mean of its scores against the mean cost of the traces that were scored. */
export function scorePoints(o: Overview, name: string): ScatterPoint[] {
  return (o.scores ?? []).filter(s => s.name === name && s.cost_usd !== undefined)
    .map(s => ({ name: s.model ?? 'no model given', x: s.cost_usd!, y: s.avg, size: s.count, color: colourOf(s.model ?? '') }))
}

export async function traceVolume(scope: Window, step: Step, signal: AbortSignal): Promise<{ times: number[]; lines: Line[] }> {
  const { series } = await ask(scope, { select: ['distinct(trace_id)'], group_by: ['status'], interval: step.text }, signal)
  const g = grid(series, scope, step.ms)
  const of = (failed: boolean) => g.times.map((_, i) => series.filter(s => (s.group.status === 'ERROR') === failed).reduce((sum, s) => sum + Number(column(s, g, 0, 0)[i]), 0))
  return { times: g.times, lines: [{ key: 'fine', name: 'Fine', color: '--c1', values: of(false) }, { key: 'failed', name: 'Failed', color: '--bad', values: of(true) }] }
}

export async function latencyHistogram(scope: Window, signal: AbortSignal): Promise<Bucket[]> {
  const { series } = await ask(scope, { select: ['histogram(duration_ms)'] }, signal)
  return buckets(value(series[0], 0) as unknown as [number, number, number][] ?? [])
}

const BUCKETS_MIN = 14
/* The server's fine buckets joined to eight steps a tenfold, so that bars are wide enough to be taken hold of. */
export function buckets(fine: [number, number, number][], perDecade = 8): Bucket[] {
  const known = fine.filter(b => b[2] > 0 && b[1] > 0)
  if (!known.length) return []
  const index = (ms: number) => Math.floor(Math.log10(Math.max(ms, 0.01)) * perDecade + 1e-9)
  let first = index(known[0][0]), last = Math.max(index(known[known.length - 1][0]), first)
  while (last - first + 1 < BUCKETS_MIN) { first--; last++ } // a few bars alone would be walls
  const out: Bucket[] = []
  for (let i = first; i <= last; i++) out.push({ low: 10 ** (i / perDecade), high: 10 ** ((i + 1) / perDecade), count: 0 })
  for (const [low, high, n] of known) out[Math.min(last, index(Math.sqrt(Math.max(low, 0.01) * high))) - first].count += n
  return out
}
