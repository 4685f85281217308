// Overview: how the storefront's AI does, at a glance: tiles with trend and change, and the charts behind them.

import type { ComponentChildren } from 'preact'
import { useMemo, useState } from 'preact/hooks'
import { useLoad } from '../lib/data'
import { addTerm, term } from '../lib/filter'
import { count, duration, type Format, percent, usd } from '../lib/format'
import { api } from '../lib/api'
import { chatLines, colourOf, modelLines, providerLines, scorePoints, tokenLines, trendOf, type Window } from '../lib/metrics'
import { readPref, writePref } from '../lib/prefs'
import { href, navigate, setParams } from '../lib/router'
import { useScope } from '../lib/scope'
import { Card, Empty, Loading, Segmented, Spark } from '../parts/basics'
import { Chart, type Line } from '../parts/chart'
import { FilterBar } from '../parts/filterbar'
import { Icon } from '../parts/icon'
import { Scatter } from '../parts/scatter'
import { RangePicker, Refresh, Top } from '../parts/shell'
import type { Numbers, Overview as Data } from '../lib/types'

interface TileSpec { name: string; value: (n: Numbers) => number | undefined; format: Format; trend: string; less?: boolean; q: string; note: (n: Numbers) => string; bad?: boolean; title?: string; per?: string }
const tiles: TileSpec[] = [
  { name: 'LLM calls', value: n => n.llm_calls, trend: 'llm_calls', format: count, q: 'kind:llm', note: n => n.errors ? `${count(n.errors)} failed` : 'none failed' },
  { name: 'Error rate', value: n => n.llm_calls ? n.error_rate : undefined, trend: 'error_rate', format: percent, less: true, q: 'kind:llm status:error', bad: true, note: () => 'of LLM calls' },
  { name: 'Latency p95', value: n => n.p95_ms, trend: 'p95_ms', format: duration, less: true, q: 'kind:llm', note: n => n.p50_ms !== undefined ? `half within ${duration(n.p50_ms)}` : '' },
  { name: 'First token', value: n => n.ttft_p50_ms, trend: 'ttft_p50_ms', format: duration, less: true, q: 'kind:llm has:ttft', title: 'Time to first token, median', note: n => n.ttft_p95_ms !== undefined ? `p95 ${duration(n.ttft_p95_ms)}` : '' },
  { name: 'Tokens', value: n => n.tokens?.total, trend: 'tokens.input', format: count, q: 'kind:llm has:tokens', note: n => n.tokens?.input !== undefined ? `${count(n.tokens.input)} in, ${count(n.tokens.output)} out` : '' },
  { name: 'Cost', value: n => n.cost_usd, trend: 'cost_usd', format: usd, less: true, q: 'has:cost', note: n => n.cost_per_thread_usd !== undefined ? `${usd(n.cost_per_thread_usd)} a conversation` : '' },
  { name: 'Conversations', value: n => n.threads, trend: 'threads', format: count, q: 'has:thread', note: n => n.turns !== undefined ? `${count(n.turns)} turns` : '' },
  { name: 'Turns each', value: n => n.turns_per_thread, trend: 'turns', per: 'threads', format: count, q: 'kind:turn', title: 'Turns per conversation', note: () => 'turns a conversation' },
  { name: 'Active users', value: n => n.active_users, trend: 'active_users', format: count, q: 'has:user', note: n => n.returning_users !== undefined ? `${count(n.returning_users)} came back` : '' },
  { name: 'Fallbacks', value: n => n.turns ? n.fallback_rate : undefined, trend: 'fallbacks', format: percent, less: true, q: 'fallback:true', bad: true, note: n => n.fallbacks ? `${count(n.fallbacks)} turns` : 'no turn', title: 'Turns that were answered although a call in them failed' },
]

function Delta({ now, before, less }: { now?: number; before?: number; less?: boolean }) {
  if (now === undefined || before === undefined || before === 0) return null
  const change = now / before - 1
  if (change > 9.99) return null // there was next to nothing before: a factor says nothing
  if (Math.abs(change) < 0.005) return <span class="delta" title="As in the period before">=</span>
  const tone = less === undefined ? '' : (change < 0) === less ? 'better' : 'worse'
  return <span class={'delta ' + tone} title="Against the period before">{change > 0 ? '↑' : '↓'} {Math.abs(100 * change).toFixed(0)} %</span>
}

function Tiles({ data, previous, q, window }: { data: Data | undefined; previous?: Numbers; q: string; window: Window }) {
  const trend = useMemo(() => data && trendOf(data, window), [data])
  return <div class="tiles" aria-busy={!data}>{tiles.map(tile => {
    const now = data && tile.value(data.now)
    const values = trend && (tile.per ? trend.of(tile.trend).map((v, i) => { const by = trend.of(tile.per!)[i]; return by ? Number(v) / by : null }) : trend.of(tile.trend, 0))
    return <a key={tile.name} class="card tile" title={tile.title} href={href('/traces', { q: [q, tile.q].filter(Boolean).join(' ') })}>
      <div class="name">{tile.name}</div>
      {data ? <>
        <div class="value">{unit(tile.format(now))}</div>
        {previous && <Delta now={now} before={tile.value(previous)} less={tile.less} />}
        <div class="about">{now !== undefined && tile.note(data.now)}</div>
        {values && now !== undefined && <Spark values={values.slice(0, -1)} tone={tile.bad && now > 0 ? 'bad' : ''} />}
      </> : <div class="ghost-line tall" />}
    </a>
  })}</div>
}

/* "1.2 s" with a smaller unit. */
function unit(text: string) {
  const m = /^(.*\d) (\D+)$/.exec(text)
  return m ? <>{m[1]} <small>{m[2]}</small></> : text
}

function Quiet({ text, note }: { text: string; note?: ComponentChildren }) { return <div class="chart quiet"><Empty title={text}>{note}</Empty></div> }

function ModelMix({ data, q }: { data: Data; q: string }) {
  const most = Math.max(...data.models.map(m => m.calls), 1), dear = Math.max(...data.models.map(m => m.cost_usd ?? 0), 1e-12)
  return <div class="mix" role="table" aria-label="Model mix"><div class="mixrow head" role="row"><span role="columnheader">Model</span><span role="columnheader">Calls</span><span role="columnheader">Cost</span><span role="columnheader" class="num">Errors</span></div>
    {data.models.filter(m => m.calls > 0).slice(0, 7).map(m => {
      const to = href('/traces', { q: m.model ? addTerm(q, term('model', m.model)) : q })
      return <div class="mixrow go" role="row" key={`${m.provider} ${m.model}`} onClick={() => navigate(to)}>
        <span class="cut" role="cell"><i class="swatch" style={{ background: `var(${colourOf(m.model ?? '')})` }} /><a class="plain" href={to}>{m.model ?? 'no model given'}</a></span>
        <span class="meterline" role="cell"><i><b style={{ width: 100 * m.calls / most + '%' }} /></i>{count(m.calls)}</span>
        <span class="meterline" role="cell"><i><b style={{ width: 100 * (m.cost_usd ?? 0) / dear + '%', background: 'var(--c3)' }} /></i>{usd(m.cost_usd)}</span>
        <span role="cell" class={'num' + (m.error_rate ? ' bad' : ' dim')}>{percent(m.error_rate ?? 0)}</span></div>
    })}</div>
}

export function Overview() {
  const { q, scope, span, step, key } = useScope()
  const [compare, setCompare] = useState(readPref('compare', true))
  const [quantile, setQuantile] = useState<'p50' | 'p95' | 'p99'>(readPref('quantile', 'p95'))
  const id = `${key}|${q}`
  const load = useLoad('overview|' + id, signal => api.overview({ ...scope, interval: step.text, lines: 1 }, signal))
  // the period before comes second, so that the figures of now stand at once
  const before = useLoad(compare && load.data && !load.loading ? 'before|' + id + span.from : null, signal => api.overview({ from: 2 * span.from - span.to, to: span.from, q, numbers: 1 }, signal).then(o => o.now), { ticks: false })
  const [scoreName, setScoreName] = useState('')
  const chat = useMemo(() => load.data && chatLines(load.data, scope), [load.data])
  const models = useMemo(() => load.data && modelLines(load.data, scope), [load.data])
  const providers = useMemo(() => load.data && providerLines(load.data, scope), [load.data])
  const tokens = useMemo(() => load.data && tokenLines(load.data, scope), [load.data])
  const scoreNames = [...new Set(load.data?.scores?.map(s => s.name))]
  const scored = scoreNames.includes(scoreName) ? scoreName : scoreNames[0]
  const range: [number, number] = [span.from, span.to]
  const zoom = (from: number, to: number) => setParams({ from, to })
  const pick = (field: string, extra = '') => (line: Line | null, t: number) => navigate(href('/traces', {
    q: [line && line.key !== '*' ? addTerm(q, term(field, line.key)) : q, extra].filter(Boolean).join(' '), from: t, to: t + step.ms,
  }))
  const common = { range, step: step.ms, onZoom: zoom }
  const filterError = load.error?.status === 400 ? load.error : null
  const latency = useMemo(() => models?.lines(quantile), [models, quantile])
  return <>
    <Top title="Overview" loading={load.loading}>
      <button class="button square" aria-pressed={compare} title="Compare with the period before" aria-label="Compare with the period before" onClick={() => { setCompare(!compare); writePref('compare', !compare) }}><Icon name="compare" /></button>
      <RangePicker /><Refresh /></Top>
    <main class="page">
      <FilterBar value={q} scope={scope} error={filterError} placeholder="Everything. Narrow it: service:ai-storefront model:gpt-4o" onChange={text => setParams({ q: text })} />
      {load.error && !filterError && !load.data ? <Card><Loading load={load}>{() => null}</Loading></Card> : <Tiles data={load.data} previous={compare ? before.data : undefined} q={q} window={scope} />}
      <div class="charts">
        <Card className="wide" title="Latency by model" aside={<Segmented label="Percentile" value={quantile} onChange={v => { setQuantile(v); writePref('quantile', v) }} choices={[['p50', 'p50'], ['p95', 'p95'], ['p99', 'p99']]} />}>
          <Loading load={load} chart="tall">{() => latency?.length ? <Chart {...common} label="Latency by model" times={models!.times} lines={latency} format={duration} onPick={pick('model', 'kind:llm')} tall /> : <Quiet text={models?.left ? 'Too many models to draw' : 'No calls in this range'} />}</Loading></Card>
        <Card title="Time to first token" note="median">
          <Loading load={load} chart="tall">{() => { const lines = models!.lines('ttft'); return lines.length ? <Chart {...common} label="Time to first token" times={models!.times} lines={lines} format={duration} onPick={pick('model', 'has:ttft')} tall /> : <Quiet text="No call told its first token" /> }}</Loading></Card>
        <Card title="Cost by model"><Loading load={load} chart="usual">{() => { const lines = models!.lines('cost'); return lines.length ? <Chart {...common} kind="bars" stacked label="Cost by model" times={models!.times} lines={lines} format={usd} onPick={pick('model', 'has:cost')} /> : <Quiet text="No cost is known" /> }}</Loading></Card>
        <Card title="Tokens" note="read and written"><Loading load={load} chart="usual">{() => tokens?.lines.length ? <Chart {...common} kind="bars" stacked label="Tokens" times={tokens.times} lines={tokens.lines} onPick={(_l, t) => pick('', 'has:tokens')(null, t)} /> : <Quiet text="No tokens are known" />}</Loading></Card>
        <Card title="Errors by provider"><Loading load={load} chart="usual">{() => providers?.lines.length ? <Chart {...common} kind="bars" stacked label="Errors by provider" times={providers.times} lines={providers.lines} onPick={pick('provider', 'status:error')} /> : <Quiet text="No call failed" />}</Loading></Card>
        <Card title="Fallbacks" note="share of turns"><Loading load={load} chart="usual">{d => chat && d.now.turns ? <Chart {...common} label="Share of turns with a fallback" times={chat.times} lines={chat.fallbacks} format={percent} onPick={(_l, t) => pick('', 'fallback:true')(null, t)} /> : <Quiet text="No chat turns in this range" />}</Loading></Card>
        <Card title="Conversations" note="turns and people"><Loading load={load} chart="usual">{d => chat && d.now.turns ? <Chart {...common} label="Turns, conversations and active users" times={chat.times} lines={chat.activity} onPick={(_l, t) => pick('', 'kind:turn')(null, t)} /> : <Quiet text="No chat turns in this range" />}</Loading></Card>
        <Card title="Turns a conversation" note="how long people stay"><Loading load={load} chart="usual">{d => chat && d.now.turns ? <Chart {...common} label="Turns per conversation" times={chat.times} lines={chat.depth} onPick={(_l, t) => pick('', 'kind:turn')(null, t)} /> : <Quiet text="No chat turns in this range" />}</Loading></Card>
        <Card className="half" title="Score against cost" note="by model" aside={scoreNames.length > 1 && <select class="select" aria-label="Score" value={scored} onChange={event => setScoreName(event.currentTarget.value)}>{scoreNames.map(name => <option key={name}>{name}</option>)}</select>}>
          <Loading load={load} chart="usual">{d => { const points = scored ? scorePoints(d, scored) : []; return points.length ? <Scatter points={points} onPick={p => navigate(href('/traces', { q: addTerm(q, term('model', p.name)) }))} /> : <Quiet text="No scores in this range" note={<>Add one in a span’s Scores tab, or <code>POST /api/v1/scores</code></>} /> }}</Loading></Card>
        <Card className="half" title="Model mix" note="calls and cost"><Loading load={load} chart="usual">{d => d.models.length ? <ModelMix data={d} q={q} /> : <Quiet text="No calls in this range" />}</Loading></Card>
      </div>
    </main>
  </>
}
