// Models & cost: which models do the work, what it costs over time, what the prices are, and whether the dear ones are worth it.

import { useMemo, useState } from 'preact/hooks'
import { api } from '../lib/api'
import { useLoad } from '../lib/data'
import { addTerm, term } from '../lib/filter'
import { count, duration, percent, usd } from '../lib/format'
import { colourOf, modelLines, scorePoints } from '../lib/metrics'
import { href, navigate, setParams } from '../lib/router'
import { useScope } from '../lib/scope'
import type { ModelRow, Overview, Price } from '../lib/types'
import { Card, type Column, Empty, Loading, Segmented, SortTable } from '../parts/basics'
import { Chart, type Line } from '../parts/chart'
import { FilterBar } from '../parts/filterbar'
import { Scatter } from '../parts/scatter'
import { RangePicker, Refresh, Top } from '../parts/shell'

type Measure = 'cost' | 'calls' | 'tokens'
const measures: [Measure, string][] = [['cost', 'Cost'], ['calls', 'Calls'], ['tokens', 'Tokens']]
const formats = { cost: usd, calls: count, tokens: count }

/* Costs of each model: by whole range, share, a thousand calls. */
function columnsOf(data: Overview): Column<ModelRow>[] {
  const dear = Math.max(1e-12, ...data.models.map(m => m.cost_usd ?? 0))
  const thousand = (m: ModelRow) => m.cost_usd === undefined || !m.calls ? undefined : 1000 * m.cost_usd / m.calls
  return [
    { key: 'model', name: 'Model', cell: m => <span class="row"><i class="swatch" style={{ background: `var(${colourOf(m.model ?? '')})` }} /><a class="plain strong" href={href('/traces', { q: m.model ? term('model', m.model) : 'kind:llm -has:model' })}>{m.model ?? 'no model given'}</a></span>, sort: m => m.model },
    { key: 'provider', name: 'Provider', cell: m => m.provider ?? '', sort: m => m.provider },
    { key: 'calls', name: 'Calls', num: true, cell: m => <>{count(m.calls)} <span class="dim">{percent(m.share)}</span></>, sort: m => m.calls },
    { key: 'cost', name: 'Cost', num: true, cell: m => <>{usd(m.cost_usd)}<span class="meter"><i style={{ width: 100 * (m.cost_usd ?? 0) / dear + '%', background: 'var(--c3)' }} /></span></>, sort: m => m.cost_usd },
    { key: 'thousand', name: 'a 1,000 calls', num: true, cell: m => usd(thousand(m)), sort: thousand },
    { key: 'tokens', name: 'Tokens in → out', num: true, cell: m => <>{count(m.tokens?.input)} <span class="dim">→</span> {count(m.tokens?.output)}</>, sort: m => m.tokens?.total },
    { key: 'cached', name: 'Cached', num: true, title: 'Share of the input that came from the provider’s cache', cell: m => m.tokens?.input && m.tokens.cached ? percent(m.tokens.cached / m.tokens.input) : <span class="dim">–</span>, sort: m => m.tokens?.cached },
    { key: 'errors', name: 'Errors', num: true, cell: m => m.errors ? <a class="bad" href={href('/traces', { q: `${m.model ? term('model', m.model) + ' ' : ''}status:error` })}>{percent(m.error_rate)}</a> : <span class="dim">0 %</span>, sort: m => m.error_rate },
    { key: 'p50', name: 'p50', num: true, cell: m => duration(m.p50_ms), sort: m => m.p50_ms }, { key: 'p95', name: 'p95', num: true, cell: m => duration(m.p95_ms), sort: m => m.p95_ms },
    { key: 'ttft', name: 'First token', num: true, cell: m => duration(m.ttft_p50_ms), sort: m => m.ttft_p50_ms },
  ]
}

const dollars = (n: number | undefined) => n === undefined ? <span class="dim">–</span> : '$' + n.toLocaleString('en-US', { maximumFractionDigits: 4 })
const priceColumns: Column<Price>[] = [
  { key: 'provider', name: 'Provider', cell: p => p.provider ?? 'any', sort: p => p.provider ?? '' }, { key: 'model', name: 'Model', cell: p => <span class="mono">{p.model}</span>, sort: p => p.model },
  { key: 'input', name: 'Input', num: true, cell: p => dollars(p.input), sort: p => p.input }, { key: 'cached', name: 'Cached input', num: true, cell: p => dollars(p.cached), sort: p => p.cached },
  { key: 'cache_write', name: 'Cache write', num: true, cell: p => dollars(p.cache_write), sort: p => p.cache_write }, { key: 'output', name: 'Output', num: true, cell: p => dollars(p.output), sort: p => p.output },
  { key: 'from', name: 'Valid from', cell: p => p.valid_from?.slice(0, 10) ?? '', sort: p => p.valid_from }, { key: 'source', name: 'Source', cell: p => <span class="soft">{p.source ?? ''}</span>, sort: p => p.source },
]

export function Prices() {
  const load = useLoad('prices|', signal => api.prices(signal), { ticks: false })
  const [find, setFind] = useState('')
  return <Card title="Prices" note="US dollars a million tokens" aside={<input class="input small" type="search" aria-label="Find a price" placeholder="Find" value={find} onInput={event => setFind(event.currentTarget.value)} />}>
    <div class="scrollbox"><Loading load={load} lines={12}>{data => <SortTable label="Prices" columns={priceColumns} rowKey={p => `${p.provider} ${p.model} ${p.valid_from}`}
      rows={data.prices.filter(p => `${p.provider ?? ''} ${p.model}`.toLowerCase().includes(find.toLowerCase()))} empty={<Empty title="No such price" />} />}</Loading></div>
    <p class="cardnote dim">A cost that the sender reported wins over these. Your own: <code>vitrine serve --prices FILE</code>.</p>
  </Card>
}

export function Models() {
  const { q, scope, span, step, key } = useScope()
  const [measure, setMeasure] = useState<Measure>('cost')
  const id = `${key}|${q}`
  const load = useLoad('overview|' + id, signal => api.overview({ ...scope, interval: step.text, lines: 1 }, signal))
  const lines = useMemo(() => load.data && modelLines(load.data, scope), [load.data])
  const filterError = load.error?.status === 400 ? load.error : null
  const common = { range: [span.from, span.to] as [number, number], step: step.ms, onZoom: (from: number, to: number) => setParams({ from, to }) }
  const pick = (line: Line | null, t: number) => navigate(href('/traces', { q: line?.key ? addTerm(q, term('model', line.key)) : q, from: t, to: t + step.ms }))
  const score = load.data?.scores?.[0]?.name
  return <>
    <Top title="Models & cost" loading={load.loading}><RangePicker /><Refresh /></Top>
    <main class="page">
      <FilterBar value={q} scope={scope} error={filterError} placeholder="All calls. Narrow it: service:ai-storefront user:shopper-1042" onChange={text => setParams({ q: text })} />
      <div class="charts">
        <Card className="wide" title={`${measures.find(m => m[0] === measure)![1]} by model`} aside={<Segmented label="Measure" value={measure} choices={measures} onChange={setMeasure} />}>
          <Loading load={load} chart="tall">{() => { const shown = lines!.lines(measure); return shown.length ? <Chart {...common} tall kind="bars" stacked label={`${measure} by model`} times={lines!.times} lines={shown} format={formats[measure]} onPick={pick} /> : <div class="chart tall quiet"><Empty title={lines!.left ? 'Too many models to draw' : measure === 'cost' ? 'No cost is known in this range' : 'No calls in this range'} /></div> }}</Loading></Card>
        <Card title="Score against cost" note={score ? `${score}, by model` : 'by model'}><Loading load={load} chart="tall">{d => { const points = score ? scorePoints(d, score) : []; return points.length ? <Scatter points={points} onPick={p => navigate(href('/traces', { q: addTerm(q, term('model', p.name)) }))} /> : <div class="chart tall quiet"><Empty title="No scores in this range">Add one in a span’s Scores tab, or <code>POST /api/v1/scores</code></Empty></div> }}</Loading></Card>
        <Card className="full modelscard" title="Models"><Loading load={load} lines={6}>{d => <SortTable label="Models" start="cost" columns={columnsOf(d)} rows={d.models} rowKey={m => `${m.provider} ${m.model}`} empty={<Empty icon="models" title="No calls in this range" />} />}</Loading></Card>
        <div class="full"><Prices /></div>
      </div>
    </main>
  </>
}
