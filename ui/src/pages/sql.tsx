// SQL: any question, answered as a table, a chart where one fits, and a file.

import { useEffect, useMemo, useRef, useState } from 'preact/hooks'
import { api, ApiError } from '../lib/api'
import { useLoad } from '../lib/data'
import { count, duration, exact } from '../lib/format'
import { readPref, writePref } from '../lib/prefs'
import { href, setParams, useRoute } from '../lib/router'
import { drawingOf, tables, timeOf, toCsv } from '../lib/sql'
import { clock, day } from '../lib/time'
import type { SqlResult } from '../lib/types'
import { Card, Copy, Empty, Failure, Ghost, Popover, Segmented } from '../parts/basics'
import { Chart, palette } from '../parts/chart'
import { Icon } from '../parts/icon'
import { SqlEditor } from '../parts/sqleditor'
import { Top } from '../parts/shell'
import { Virtual } from '../parts/virtual'

const HISTORY_MAX = 40, ROW = 30
const noSchema: Record<string, string[]> = {}
const examples: [string, string][] = [
  ['Cost and latency by model', `SELECT model, count(*) AS calls, p95(duration_ms) AS p95_ms, round(sum(cost_usd), 4) AS cost_usd\nFROM spans\nWHERE kind = 'llm' AND start_ms > now_ms() - 86400000\nGROUP BY model\nORDER BY cost_usd DESC`],
  ['Calls an hour', `SELECT start_ms / 3600000 * 3600000 AS hour, count(*) AS calls\nFROM spans\nWHERE kind = 'llm' AND start_ms > now_ms() - 86400000\nGROUP BY hour\nORDER BY hour`],
  ['What failed last', `SELECT trace_id, start, operation, model, duration_ms, error\nFROM spans\nWHERE status = 'ERROR'\nORDER BY start_ms DESC\nLIMIT 100`],
  ['Dearest users', `SELECT user_id, count(DISTINCT thread_id) AS conversations, round(sum(cost_usd), 4) AS cost_usd\nFROM spans\nWHERE kind = 'llm'\nGROUP BY user_id\nORDER BY cost_usd DESC\nLIMIT 20`],
]

/* Columns of each table, as the server has them. */
const schemaSql = tables.map(table => `SELECT '${table}', name FROM pragma_table_info('${table}')`).join(' UNION ALL ')
type Schema = Record<string, string[]>

async function loadSchema(signal: AbortSignal): Promise<Schema> {
  const out: Schema = {}
  for (const [table, name] of (await api.sql(schemaSql, signal)).rows as [string, string][]) (out[table] ??= []).push(name)
  return out
}

function Cell({ column, value }: { column: string; value: unknown }) {
  if (value === null || value === undefined) return <span class="dim">null</span>
  if (typeof value === 'number') {
    const ms = timeOf(column, value)
    return ms === null ? <>{exact(value)}</> : <time dateTime={new Date(ms).toISOString()} title={String(value)}>{day(ms)} {clock(ms)}</time>
  }
  const text = typeof value === 'object' ? JSON.stringify(value) : String(value)
  if (/trace_?id$/i.test(column) && /^[\w-]{8,64}$/.test(text)) return <a class="mono" href={href('/traces/' + text)}>{text.slice(0, 12)}{text.length > 12 && '…'}</a>
  if (/thread_id$/i.test(column) && text) return <a href={href('/threads/' + encodeURIComponent(text))}>{text}</a>
  return <span title={text.length > 40 ? text.slice(0, 2000) : undefined}>{text.slice(0, 300)}</span>
}

function Table({ result }: { result: SqlResult }) {
  const numeric = useMemo(() => result.columns.map((_, i) => result.rows.slice(0, 50).every(r => r[i] === null || typeof r[i] === 'number')), [result])
  const grid = useMemo(() => result.columns.map((name, i) => {
    const wide = Math.max(name.length + 2, ...result.rows.slice(0, 60).map(r => /trace_?id$/i.test(name) ? 14 : r[i] === null ? 4 : typeof r[i] === 'number' ? exact(r[i] as number).length : String(r[i]).length))
    return `minmax(${Math.min(44, Math.max(6, wide)) * 7.6 + 12}px, ${numeric[i] ? '.6fr' : '1fr'})`
  }).join(' '), [result])
  const row = (i: number) => <div key={i} class="trow flat" role="row" aria-rowindex={i + 1} style={{ gridTemplateColumns: grid, height: ROW + 'px' }}>{result.columns.map((name, c) => <span key={c} role="gridcell" class={'cut' + (numeric[c] ? ' num' : '')}><Cell column={name} value={result.rows[i][c]} /></span>)}</div>
  return <div class="sqltable" style={{ height: Math.min(560, result.rows.length * ROW + 48) + 'px' }}><Virtual count={result.rows.length} rowHeight={ROW} row={row} role="grid" label="Result" className="rows"
    header={<div class="thead" role="rowgroup"><div class="trow head" role="row" style={{ gridTemplateColumns: grid }}>{result.columns.map((name, c) => <span key={c} role="columnheader" class={'cut' + (numeric[c] ? ' num' : '')}>{name}</span>)}</div></div>} /></div>
}

function Drawing({ drawing }: { drawing: NonNullable<ReturnType<typeof drawingOf>> }) {
  if (drawing.kind === 'time') return <Chart label="Result" tall times={drawing.times} lines={drawing.lines.map((line, i) => ({ key: line.name, name: line.name, color: palette[i % palette.length], values: line.values }))} />
  const most = Math.max(...drawing.rows.map(r => r.value), 1e-12)
  return <ol class="hbars" aria-label={`${drawing.value} by ${drawing.label}`}>{drawing.rows.map((r, i) => <li key={i}><span class="cut">{r.name}</span><i><b style={{ width: Math.max(0, 100 * r.value / most) + '%' }} /></i><span class="num">{exact(r.value)}</span></li>)}</ol>
}

function download(result: SqlResult) {
  const link = document.createElement('a')
  link.href = URL.createObjectURL(new Blob([toCsv(result)], { type: 'text/csv' }))
  link.download = 'vitrine.csv'
  link.click()
  setTimeout(() => URL.revokeObjectURL(link.href), 1000)
}

export function Sql() {
  const { params } = useRoute()
  const asked = params.get('sql') ?? ''
  const [text, setText] = useState(asked || examples[0][1])
  const [state, setState] = useState<{ result?: SqlResult; error: ApiError | null; loading: boolean; ran: string }>({ error: null, loading: false, ran: '' })
  const [history, setHistory] = useState<string[]>(readPref('sql', []))
  const [view, setView] = useState<'chart' | 'table'>('chart')
  const control = useRef<AbortController>()
  const schema = useLoad('schema|', loadSchema, { ticks: false }).data ?? noSchema
  const columns = useMemo(() => [...new Set(Object.values(schema).flat())].filter(name => /^\w+$/.test(name)), [schema])
  const run = (sql: string) => {
    control.current?.abort()
    const mine = control.current = new AbortController()
    setState(s => ({ ...s, error: null, loading: true, ran: sql }))
    const kept = [sql, ...readPref<string[]>('sql', []).filter(old => old !== sql)].slice(0, HISTORY_MAX)
    setHistory(kept)
    writePref('sql', kept)
    api.sql(sql, mine.signal).then(result => setState({ result, error: null, loading: false, ran: sql }), e => {
      if (!mine.signal.aborted) setState(s => ({ ...s, result: undefined, error: e instanceof ApiError ? e : new ApiError(-1, 'page', String(e)), loading: false }))
    })
  }
  // the address says which statement is shown: links, history and the back button all go through it
  useEffect(() => { if (asked) { setText(asked); run(asked) } }, [asked])
  useEffect(() => () => control.current?.abort(), [])
  const go = (sql: string) => { if (!sql.trim()) return; if (sql === asked) run(sql); else setParams({ sql }) }
  const drawing = useMemo(() => state.result ? drawingOf(state.result) : null, [state.result])
  const mistake = state.error && (state.error.status === 400 || state.error.status === 422) && state.ran === text ? state.error : null
  return <>
    <Top title="SQL" loading={state.loading}>{asked && <Copy text={() => location.href} label="Copy the address" small={false} />}
      <Popover title="Statements of before" label={<><Icon name="clock" /><span class="wide-only">History</span></>}>{close => <div class="sqlhistory"><div class="title">Examples</div>{examples.map(([name, sql]) => <button key={name} class="item" onClick={() => { close(); setText(sql); go(sql) }}>{name}</button>)}
        {history.length > 0 && <div class="title">Before</div>}{history.map(sql => <button key={sql} class="item mono" title={sql} onClick={() => { close(); setText(sql); go(sql) }}><span class="cut">{sql.replace(/\s+/g, ' ')}</span></button>)}</div>}</Popover></Top>
    <main class="page">
      <div class="sqlpage">
        <section class="card sqlcard" aria-label="Statement">
          <SqlEditor value={text} onInput={setText} onRun={go} columns={columns} error={mistake} />
          <div class="row sqlrun"><button class="button primary" disabled={state.loading && state.ran === text} onClick={() => go(text)}><Icon name="play" />Run</button><span class="dim wide-only"><kbd>Ctrl</kbd> <kbd>Enter</kbd></span>
            {state.result && !state.loading && <span class="dim push">{count(state.result.rows.length)}{state.result.truncated ? '+' : ''} rows{state.result.elapsed_ms !== undefined && <> in {duration(state.result.elapsed_ms)}</>}</span>}
            {state.loading && <><span class="dim push">running…</span><button class="button small" onClick={() => { control.current?.abort(); setState(s => ({ ...s, loading: false })) }}>Stop</button></>}</div>
        </section>
        <aside class="card schema" aria-label="Tables"><h2>Tables</h2>{tables.filter(t => schema[t]).map(table => <details key={table} open={table === 'spans'}><summary>{table} <span class="dim">{schema[table].length}</span></summary>
          <ul>{schema[table].map(name => <li key={name}><button class="mono" title={`Put ${name} into the statement`} onClick={() => setText(t => t + (/\s$/.test(t) ? '' : ' ') + name)}>{name}</button></li>)}</ul></details>)}{!Object.keys(schema).length && <Ghost lines={4} />}</aside>
        <div class="sqlresult">
          {state.error && !mistake && <Card><Failure error={state.error} retry={() => run(state.ran)} /></Card>}
          {state.loading && !state.result && <Card><Ghost lines={8} /></Card>}
          {state.result && <Card title="Result" note={state.result.truncated ? `the first ${count(state.result.rows.length)} rows` : undefined} aside={<>{drawing && <Segmented label="View" value={view} onChange={setView} choices={[['chart', 'Chart'], ['table', 'Table only']]} />}<button class="button small" onClick={() => download(state.result!)}><Icon name="download" />CSV</button></>}>
            {drawing && view === 'chart' && <Drawing drawing={drawing} />}
            {state.result.rows.length ? <Table result={state.result} /> : <Empty title="No rows" />}</Card>}
          {!state.result && !state.loading && !state.error && <Card><Empty icon="sql" title="Ask anything">Tables and functions are those of <code>vitrine sql</code>; one statement, which only reads. The address of the page keeps it, so that you can send it to someone.</Empty></Card>}
        </div>
      </div>
    </main>
  </>
}
