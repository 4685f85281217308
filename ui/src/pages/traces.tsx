// Traces: filter, facets, what took how long, and the list, which goes on as far as one scrolls.

import { useMemo, useState } from 'preact/hooks'
import { api } from '../lib/api'
import { useLoad, usePages } from '../lib/data'
import { addTerm, hasTerm, setTerm, term, toggleTerm } from '../lib/filter'
import { count, duration, modelNames, usd } from '../lib/format'
import { facets, latencyHistogram, traceVolume } from '../lib/metrics'
import { readPref, writePref } from '../lib/prefs'
import { href, navigate, setParams, useRoute } from '../lib/router'
import { FIRST_TRACES } from '../lib/urls'
import { useScope } from '../lib/scope'
import { ago, clock, day } from '../lib/time'
import type { TraceRow } from '../lib/types'
import { Chip, Empty, Loading, Popover, StatusDot, toast } from '../parts/basics'
import { Chart } from '../parts/chart'
import { FilterBar } from '../parts/filterbar'
import { Histogram } from '../parts/histogram'
import { Icon } from '../parts/icon'
import { RangePicker, Refresh, Top } from '../parts/shell'
import { type ListColumn, Rows } from '../parts/rows'

const MORE_ROWS = 1000 // the first page comes fast, the next ones seldom

const columnsFor = (longest: number): ListColumn<TraceRow>[] => [
  { key: 'time', name: 'Time', width: '92px', phone: '66px', cell: row => <TimeCell start={row.start} /> },
  { key: 'operation', name: 'Operation', width: 'minmax(124px, 1.5fr)', phone: 'minmax(0, 1fr)', cell: row => <span class="row"><a class="cut plain strong" href={href('/traces/' + row.trace_id)}>{row.operation}</a>{row.fallback && <Chip tone="warn" title="Answered although an LLM call in it failed">fallback</Chip>}</span> },
  { key: 'duration', name: 'Duration', width: '106px', phone: '64px', num: true, cell: row => <><span class={'took' + (row.status === 'ERROR' ? ' failed' : '')}><i style={{ width: Math.max(2, 100 * row.duration_ms / longest) + '%' }} /></span><span class="tooktime">{duration(row.duration_ms)}</span></> },
  { key: 'models', name: 'Model', width: 'minmax(84px, 1.1fr)', cell: row => modelNames(row.models) },
  { key: 'tokens', name: 'Tokens', width: '52px', num: true, cell: row => count(row.tokens?.total) },
  { key: 'cost', name: 'Cost', width: '68px', num: true, cell: row => usd(row.cost_usd) },
  { key: 'user', name: 'User', width: 'minmax(94px, .9fr)', cell: row => row.user_id ?? '' },
  { key: 'thread', name: 'Thread', width: 'minmax(74px, .9fr)', cell: row => row.thread_id ? <a class="cut" href={href('/threads/' + encodeURIComponent(row.thread_id))}>{row.thread_id}</a> : '' },
  { key: 'service', name: 'Service', width: 'minmax(90px, .7fr)', cell: row => row.service ?? '' },
  { key: 'provider', name: 'Provider', width: '90px', cell: row => row.provider ?? '' },
  { key: 'spans', name: 'Spans', width: '60px', num: true, cell: row => count(row.span_count) },
  { key: 'calls', name: 'LLM calls', width: '72px', num: true, cell: row => count(row.llm_calls) },
  { key: 'error', name: 'Error', width: 'minmax(120px, 1fr)', cell: row => <span class="bad cut">{row.error ?? ''}</span> },
  { key: 'id', name: 'Trace id', width: '260px', cell: row => <span class="mono dim cut">{row.trace_id}</span> },
]
const usual = ['time', 'operation', 'duration', 'models', 'tokens', 'cost', 'user', 'thread']
const known = new Set(columnsFor(1).map(c => c.key))

export function TimeCell({ start }: { start: string }) {
  const ms = Date.parse(start), today = day(ms) === day(Date.now())
  return <time class="soft" dateTime={start} title={`${day(ms)} ${clock(ms, true)}, ${ago(ms)}`}>{today ? clock(ms) : <><span class="dim">{day(ms)} </span>{clock(ms).slice(0, 5)}</>}</time>
}

function Facets({ scope, q, id }: { scope: { from: number; to: number }; q: string; id: string | null }) {
  const load = useLoad(id === null ? null : `facets|${id}|${q}`, signal => facets({ ...scope, q }, signal))
  const [open, setOpen] = useState<Record<string, boolean>>({})
  return <aside class="facets" aria-label="Facets">
    <Loading load={load} lines={12}>{groups => groups.length === 0 ? <p class="dim" style={{ padding: '8px 12px' }}>No values in this range.</p> : groups.map(group => {
      const all = open[group.field], values = all ? group.values : group.values.slice(0, 6)
      const max = Math.max(1, ...group.values.map(v => v.count))
      return <section key={group.field}><h2>{group.name}</h2><ul>{values.map(v => {
        const is = term(group.field, v.value), on = hasTerm(q, is), off = hasTerm(q, '-' + is)
        return <li key={v.value}><button class={'facet' + (on ? ' on' : off ? ' off' : '')} aria-pressed={on} title={`${v.value}: ${v.count.toLocaleString('en-US')} (alt-click leaves it out)`}
          onClick={event => setParams({ q: event.altKey ? toggleTerm(q, '-' + is) : off ? toggleTerm(q, '-' + is) : toggleTerm(q, is) })}>
          <i style={{ width: 100 * v.count / max + '%' }} /><span class="cut">{group.field === 'status' && <StatusDot status={v.value.toUpperCase()} />}{v.value}</span><b>{count(v.count)}</b></button></li>
      })}</ul>{group.values.length > 6 && <button class="button ghost small" onClick={() => setOpen({ ...open, [group.field]: !all })}>{all ? 'Fewer' : `${group.values.length - 6} more`}</button>}</section>
    })}</Loading>
  </aside>
}

interface View { name: string; q: string; columns?: string[] }

function Views({ q, shown }: { q: string; shown: string[] }) {
  const [views, setViews] = useState<View[]>(readPref('views', []))
  const keep = (next: View[]) => { setViews(next); writePref('views', next) }
  const ready: View[] = [{ name: 'Failed', q: 'status:error' }, { name: 'Slower than 5 s', q: 'duration:>5s' }, { name: 'Fallbacks', q: 'fallback:true' }, { name: 'Costly', q: 'cost:>0.01' }]
  const item = (view: View, close: () => void) => <button class="item grow" onClick={() => { close(); setParams({ q: view.q, cols: view.columns && view.columns.join() !== usual.join() ? view.columns.join() : null }) }}>{view.name}<span class="dim mono cut push">{view.q || 'everything'}</span></button>
  return <Popover title="Saved views" className="square" label={<Icon name="star" />}>{close => <div class="views">
    {views.length > 0 && <div class="title">Yours</div>}
    {views.map(view => <div class="row" key={view.name}>{item(view, close)}<button class="button ghost square small" aria-label={`Forget ${view.name}`} onClick={() => keep(views.filter(v => v !== view))}><Icon name="trash" /></button></div>)}
    <div class="title">Ready made</div>
    {ready.map(view => <div class="row" key={view.name}>{item(view, close)}</div>)}
    <hr />
    <form onSubmit={event => {
      event.preventDefault()
      const name = String(new FormData(event.currentTarget).get('name')).trim()
      if (!name) return
      keep([...views.filter(v => v.name !== name), { name, q, columns: shown }])
      toast(`Saved “${name}”`)
      close()
    }}><label class="field"><span>Save this filter as</span><input class="input" name="name" required maxLength={60} placeholder="Name" /></label><button class="button primary small">Save</button></form>
  </div>}</Popover>
}

export function Traces() {
  const { q, scope, span, step, key } = useScope()
  const list = usePages(scope, (cursor, signal) => api.traces({ ...scope, limit: cursor ? MORE_ROWS : FIRST_TRACES, cursor }, signal).then(page => ({ ...page, rows: page.traces })))
  const [kept, setKept] = useState<string[]>(readPref('columns', usual))
  const asked = useRoute().params.get('cols')?.split(',').filter(c => known.has(c)) ?? []
  const shown = asked.length ? asked : kept
  const [panel, setPanel] = useState(readPref('facets', innerWidth > 1100))
  const listStands = list.rows.length > 0 || !list.loading // the list comes first, what stands around it after
  const volume = useLoad(listStands ? `volume|${key}|${q}` : null, signal => traceVolume(scope, step, signal))
  const latency = useLoad(listStands ? `latency|${key}|${q}` : null, signal => latencyHistogram(scope, signal))
  const longest = useMemo(() => list.rows.reduce((max, row) => Math.max(max, row.duration_ms), 1), [list.rows])
  const columns = useMemo(() => columnsFor(longest), [longest])
  const filterError = list.error?.status === 400 ? list.error : null
  return <>
    <Top title="Traces" loading={list.loading}><RangePicker /><Refresh /></Top>
    <main class="page flush fixed">
      <div class="bar">
        <button class="button square" title="Facets" aria-label="Show facets" aria-pressed={panel} onClick={() => { setPanel(!panel); writePref('facets', !panel) }}><Icon name="filter" /></button>
        <FilterBar value={q} scope={scope} error={filterError} onChange={text => setParams({ q: text })} />
        <Views q={q} shown={shown} />
        <Popover title="Columns" className="square wide-only" label={<Icon name="columns" />}>{() => <div class="cols">{columns.map(c => <label class="check item" key={c.key}><input type="checkbox" checked={shown.includes(c.key)} onChange={() => {
          const next = shown.includes(c.key) ? shown.filter(k => k !== c.key) : [...shown, c.key]
          setKept(next)
          writePref('columns', next)
          setParams({ cols: next.join() === usual.join() ? null : next.join() }, true)
        }} />{c.name}</label>)}</div>}</Popover>
      </div>
      <div class={'split' + (panel ? '' : ' alone')}>
        {panel && <Facets scope={scope} q={filterError ? '' : q} id={listStands ? key : null} />}
        <div class="results">
          <div class="strips">
            <section aria-label="Traces over time">{volume.data && <Chart label="Traces over time" kind="bars" stacked legend={false} times={volume.data.times} step={step.ms} range={[span.from, span.to]} lines={volume.data.lines}
              onZoom={(from, to) => setParams({ from, to })} onPick={(line, t) => setParams({ from: t, to: t + step.ms, q: line?.key === 'failed' ? addTerm(q, 'status:error') : q })} />}</section>
            <section aria-label="How long traces took">{latency.data && <Histogram data={latency.data} onBrush={(low, high) => setParams({ q: setTerm(q, 'duration', low === null ? null : high === null ? `>=${low}ms` : `${low}ms..${high}ms`) })} active={/\bduration:/.test(q)} />}</section>
          </div>
          <Rows list={list} columns={columns.filter(c => shown.includes(c.key))} label="Traces" noun="traces" scope={scope} filterError={filterError} onOpen={navigate} open={row => href('/traces/' + row.trace_id)}
            status={row => <StatusDot status={row.status} fallback={row.fallback} />}
            none={<Empty icon="search" title={q ? 'No trace matches' : 'No traces in this range'}>{q ? <button class="button small" onClick={() => setParams({ q: null })}>Clear the filter</button> : <><button class="button small" onClick={() => setParams({ from: '-30d', to: null })}>Look at 30 days</button> <a class="button small" href={href('/start')}>Send a trace</a></>}</Empty>} />
        </div>
      </div>
    </main>
  </>
}

