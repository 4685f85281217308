// Alerts: what the monitors say now and said before; silences.

import { useState } from 'preact/hooks'
import { api, ApiError } from '../lib/api'
import { useLoad } from '../lib/data'
import { count, duration, exact, usd } from '../lib/format'
import { dateTime } from '../lib/time'
import type { AlertGroup, Alerts as Data, AlertState, Monitor, Silence } from '../lib/types'
import { Card, Chip, Copy, Empty, Failure, Ghost, Popover, toast } from '../parts/basics'
import { Icon } from '../parts/icon'
import { Refresh, Top } from '../parts/shell'

const order: AlertState[] = ['ALERT', 'WARN', 'NO DATA', 'OK']
const tones: Record<AlertState, string> = { ALERT: 'bad', WARN: 'warn', 'NO DATA': 'info', OK: 'good' }
const names: Record<AlertState, string> = { ALERT: 'Alert', WARN: 'Warning', 'NO DATA': 'No data', OK: 'OK' }

export const groupsOf = (m: Monitor): AlertGroup[] => m.groups ?? []
export const worst = (m: Monitor): AlertState | null => order.find(state => groupsOf(m).some(g => g.state === state)) ?? null
const rank = (m: Monitor) => m.error ? 0.5 : order.indexOf(worst(m) ?? 'OK')

/* A value in the monitor's own unit, as src/alert/metric.c names it. */
function measured(value: number | undefined, unit = '') {
  if (value === undefined) return '–'
  if (unit === 'millisecond') return duration(value)
  if (unit === 'dollar') return usd(value)
  return [count(Number(value.toPrecision(4))), unit && (value === 1 ? unit : unit + 's')].filter(Boolean).join(' ')
}

const example = `- name: LLM error rate is high
  query: "sum(last_10m):count:ai_storefront.llm.errors{*} > 5"
  message: "More than {{threshold}} calls failed. @webhook-oncall"
- name: Answers are slow
  query: "avg(last_5m):avg:ai_storefront.llm.duration{*} > 10000"
  message: "The mean LLM call takes {{value}} ms."`

function HowTo() {
  return <div class="startcard"><h2>No monitors are running.</h2>
    <p class="soft">Write them into a YAML file, as Datadog has them, and give it to the server. It is read again whenever it changes.</p>
    <div class="snippets"><div><h3>monitors.yaml</h3><div class="code"><pre tabIndex={0} aria-label="monitors.yaml">{example}</pre><Copy text={example} /></div></div>
      <div><h3>Try them, then start the server with them</h3><div class="code"><pre tabIndex={0} aria-label="Commands">{'vitrine alerts check monitors.yaml\nvitrine serve --alerts monitors.yaml'}</pre><Copy text={'vitrine alerts check monitors.yaml\nvitrine serve --alerts monitors.yaml'} /></div></div></div></div>
}

const spans: [number, string][] = [[60, '1 hour'], [240, '4 hours'], [1440, '1 day'], [10_080, '1 week']]

function SilenceButton({ monitor, group, onDone }: { monitor: string; group?: string; onDone: () => void }) {
  const send = async (form: HTMLFormElement, close: () => void) => {
    const data = new FormData(form)
    try {
      await api.silence({ monitor, group: group || undefined, minutes: Number(data.get('minutes')), reason: String(data.get('reason')).trim() || undefined })
      toast('Silenced')
      close()
      onDone()
    } catch (e) { toast(e instanceof Error ? e.message : String(e)) }
  }
  return <Popover title={`Silence ${group || monitor}`} className="small ghost" label={<><Icon name="bell" />Silence</>}>{close => <form onSubmit={event => { event.preventDefault(); send(event.currentTarget, close) }}>
    <label class="field"><span>For</span><select class="select" name="minutes">{spans.map(([minutes, name]) => <option key={minutes} value={minutes}>{name}</option>)}</select></label>
    <label class="field"><span>Reason</span><input class="input" name="reason" maxLength={1000} placeholder="Known, being mended" /></label>
    <button class="button primary small">Silence</button></form>}</Popover>
}

function History({ group, unit }: { group: AlertGroup; unit?: string }) {
  const [all, setAll] = useState(false)
  const changes = group.history ?? []
  if (!changes.length) return null
  return <ol class="history">{changes.slice(0, all ? 100 : 3).map((change, i) => <li key={i}><time class="dim" dateTime={change.at} title={change.at}>{dateTime(Date.parse(change.at))}</time>
    <Chip tone={tones[change.to]}>{names[change.to] ?? change.to}</Chip><span class="dim">was {names[change.from] ?? change.from}{change.value !== undefined && <>, at {measured(change.value, unit)}</>}</span></li>)}
    {changes.length > 3 && <li><button class="button ghost small" onClick={() => setAll(!all)}>{all ? 'Fewer' : `${changes.length - 3} earlier`}</button></li>}</ol>
}

function MonitorCard({ monitor, silences, onDone }: { monitor: Monitor; silences: Silence[]; onDone: () => void }) {
  const state = worst(monitor)
  const quiet = silences.find(s => s.monitor === monitor.name && !s.group || s.monitor === '*')
  const hushed = (group: AlertGroup) => group.group ? silences.find(s => s.monitor === monitor.name && s.group === group.group) : undefined
  const limits: [string, number | undefined][] = [['critical', monitor.critical], ['warning', monitor.warning]]
  return <article class={'card monitor is-' + (monitor.error ? 'bad' : state ? tones[state] : 'new')}>
    <header><h2>{monitor.name}</h2>{monitor.error ? <Chip tone="bad">Cannot run</Chip> : state ? <Chip tone={tones[state]}>{names[state]}</Chip> : <Chip>Not evaluated yet</Chip>}{quiet && <Chip tone="info">Silenced until {dateTime(Date.parse(quiet.until))}</Chip>}
      <div class="push row">{monitor.tags?.map(tag => <Chip key={tag}>{tag}</Chip>)}{!monitor.error && <SilenceButton monitor={monitor.name} onDone={onDone} />}</div></header>
    <div class="body">
      {monitor.query && <code class="query">{monitor.query}</code>}
      {monitor.error && <div class="note bad"><Icon name="alert" /><p>{monitor.error}</p></div>}
      {monitor.message && <p class="soft message">{monitor.message}</p>}
      {groupsOf(monitor).map(group => <section key={group.group ?? ''} class="alertgroup">
        <div class="row wrap">{group.group && <b>{group.group}</b>}{groupsOf(monitor).length > 1 && <Chip tone={tones[group.state]}>{names[group.state]}</Chip>}
          <span>{group.value !== undefined ? <>now <b>{measured(group.value, monitor.unit)}</b></> : <span class="dim">nothing measured</span>}<span class="dim">{limits.map(([name, n]) => n !== undefined && <span key={name}> · {name} {measured(n, monitor.unit)}</span>)}</span></span>
          {group.since && <span class="dim push" title={group.since}>for {duration(Math.max(1000, Date.now() - Date.parse(group.since)))}</span>}{hushed(group) && <Chip tone="info">Silenced until {dateTime(Date.parse(hushed(group)!.until))}</Chip>}{group.group && groupsOf(monitor).length > 1 && <SilenceButton monitor={monitor.name} group={group.group} onDone={onDone} />}</div>
        <History group={group} unit={monitor.unit} /></section>)}
    </div>
  </article>
}

function Silences({ silences, onDone }: { silences: Silence[]; onDone: () => void }) {
  if (!silences.length) return null
  const lift = async (id: number) => {
    try { await api.unsilence(id); toast('The silence is over'); onDone() } catch (e) { toast(e instanceof Error ? e.message : String(e)) }
  }
  return <Card title="Silences"><div class="table-wrap"><table class="table"><thead><tr><th scope="col">Monitor</th><th scope="col">Group</th><th scope="col">Until</th><th scope="col">Reason</th><th><span class="sr">Lift</span></th></tr></thead><tbody>
    {silences.map(s => <tr key={s.id}><td>{s.monitor === '*' ? 'all' : s.monitor}</td><td>{s.group || <span class="dim">all</span>}</td><td>{dateTime(Date.parse(s.until))}</td><td>{s.reason}</td><td class="num"><button class="button small" onClick={() => lift(s.id)}>Lift</button></td></tr>)}</tbody></table></div></Card>
}

function Board({ data, onDone }: { data: Data; onDone: () => void }) {
  const sorted = [...data.monitors].sort((a, b) => rank(a) - rank(b) || (a.name < b.name ? -1 : 1))
  const states = order.map(state => [state, data.monitors.filter(m => !m.error && worst(m) === state).length] as const).filter(s => s[1] > 0)
  return <>
    {data.error && <div class="note bad"><Icon name="alert" /><p><b>The file of monitors cannot be read; those of before run on.</b> {data.error}</p></div>}
    <div class="row wrap">{states.map(([state, n]) => <Chip key={state} tone={tones[state]}>{exact(n)} {names[state]}</Chip>)}<span class="dim push">{data.file && <>from <code title={data.file}>{data.file.replace(/^.*\//, '')}</code></>}{data.targets?.length ? <> · tells {data.targets.map(t => t.name).join(', ')}</> : null}</span></div>
    <Silences silences={data.silences ?? []} onDone={onDone} />
    <div class="monitors">{sorted.map(m => <MonitorCard key={m.name} monitor={m} silences={data.silences ?? []} onDone={onDone} />)}</div>
  </>
}

export function Alerts() {
  const load = useLoad<Data>('alerts|', signal => api.alerts(signal).catch(e => { if (e instanceof ApiError && e.missing) return { monitors: [] }; throw e }))
  return <>
    <Top title="Alerts" loading={load.loading}><Refresh /></Top>
    <main class={'page' + (load.data && !load.data.monitors.length ? ' start' : ' alerts')}>
      {load.data ? load.data.monitors.length || load.data.error ? <Board data={load.data} onDone={load.reload} /> : <><HowTo /><Silences silences={load.data.silences ?? []} onDone={load.reload} /></>
        : load.error ? <Failure error={load.error} retry={load.reload} /> : <Ghost lines={10} />}
      {load.data && load.data.monitors.length === 0 && load.data.error && <Empty title="No monitor runs" />}
    </main>
  </>
}
