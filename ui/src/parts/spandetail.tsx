// Everything about one span: what was said, usage, attributes, events, scores, and the span as it is.

import { useMemo, useState } from 'preact/hooks'
import { api } from '../lib/api'
import { addTerm, quote } from '../lib/filter'
import { duration, exact, percent, usd } from '../lib/format'
import { readPref, writePref } from '../lib/prefs'
import { href, useRoute } from '../lib/router'
import { spoken } from '../lib/said'
import { clock } from '../lib/time'
import type { Node, Tree } from '../lib/tree'
import type { Score, Span, Trace } from '../lib/types'
import { Chip, Copy, Empty, Tabs, toast } from './basics'
import { Icon } from './icon'
import { Json } from './json'
import { Talk } from './talk'
import { kindNames } from './waterfall'

type Tab = 'talk' | 'attributes' | 'events' | 'scores' | 'raw'

function Usage({ span }: { span: Span }) {
  const t = span.tokens
  if (!t || (t.input === undefined && t.output === undefined && t.total === undefined)) return null
  const input = t.input ?? 0, output = t.output ?? 0, cached = t.cached ?? 0, reasoning = t.reasoning ?? 0
  const total = Math.max(1, input + output)
  const parts: [string, number, string][] = [['Input', input - cached, '--c5'], ['Cached input', cached, '--q50'], ['Output', output - reasoning, '--c2'], ['Reasoning', reasoning, '--c4']]
  const seconds = (span.duration_ms - (span.ttft_ms ?? 0)) / 1000
  return <div class="usage">
    <div class="usagebar" role="img" aria-label={parts.filter(p => p[1] > 0).map(p => `${p[0]} ${p[1]}`).join(', ')}>{parts.map(([name, n, color]) => n > 0 && <i key={name} style={{ width: 100 * n / total + '%', background: `var(${color})` }} />)}</div>
    <div class="usagekey">{parts.map(([name, n, color]) => n > 0 && <span key={name}><i class="swatch" style={{ background: `var(${color})` }} />{name} <b>{exact(n)}</b></span>)}
      {output > 0 && seconds > 0.05 && <span class="push dim">{three(output / seconds)} tokens/s</span>}</div>
  </div>
}
const three = (n: number) => n >= 100 ? n.toFixed(0) : n.toFixed(1)

function Facts({ node, tree }: { node: Node; tree: Tree }) {
  const { span } = node
  const share = tree.end > tree.start ? node.criticalMs / (tree.end - tree.start) : 0
  const rows: [string, preact.ComponentChildren][] = [
    ['Duration', <>{duration(span.duration_ms)}{node.critical && share > 0.005 && <span class="dim" title="Time that the whole trace spent waiting for this very span"> {percent(share)} of the trace</span>}</>],
    ['Starts at', `+${duration(node.start - tree.start)}`],
  ]
  if (span.ttft_ms !== undefined) rows.push(['First token', duration(span.ttft_ms)])
  if (span.cost_usd !== undefined) rows.push(['Cost', usd(span.cost_usd)])
  if (span.provider) rows.push(['Provider', span.provider])
  if (span.finish_reason) rows.push(['Finish', <Chip tone={span.finish_reason === 'length' || span.finish_reason === 'content_filter' ? 'warn' : ''}>{span.finish_reason}</Chip>])
  if (span.temperature !== undefined) rows.push(['Temperature', exact(span.temperature)])
  if (span.service && span.service !== tree.roots[0].span.service) rows.push(['Service', span.service])
  return <dl class="facts small">{rows.map(([name, value]) => <div class="fact" key={name}><dt>{name}</dt><dd>{value}</dd></div>)}</dl>
}

function Conversation({ node, onChoose }: { node: Node; onChoose: (node: Node) => void }) {
  const { span } = node
  const asked = useMemo(() => spoken(span.prompt, 'user'), [span])
  const answered = useMemo(() => spoken(span.completion, 'assistant'), [span])
  const talking = node.children.filter(child => child.span.prompt || child.span.completion)
  if (!asked.length && !answered.length) return <Empty icon="threads" title="Nothing was said in this span">{talking.length ? <>Its calls have it: {talking.slice(0, 6).map(child => <button class="button small" onClick={() => onChoose(child)}>{child.span.operation}</button>)}</> : span.kind === 'llm' ? 'The sender did not record prompts (capture mode), or the call failed before an answer.' : null}</Empty>
  return <Talk messages={[...asked, ...answered]} />
}

const plain = (value: unknown) => typeof value === 'string' ? value : JSON.stringify(value)

function Attributes({ span }: { span: Span }) {
  const [find, setFind] = useState('')
  const { params } = useRoute()
  const table = (title: string, all: Record<string, unknown> | undefined, filterable: boolean) => {
    const rows = Object.entries(all ?? {}).filter(([k, v]) => !find || (k + ' ' + plain(v)).toLowerCase().includes(find.toLowerCase())).sort((a, b) => a[0] < b[0] ? -1 : 1)
    if (!rows.length) return null
    return <section><h3>{title}</h3><table class="attrs"><tbody>{rows.map(([k, v]) => <tr key={k}><th scope="row">{k}</th><td><Value value={v} /></td><td class="tools">
      {filterable && typeof v !== 'object' && String(v).length < 200 && <a class="button ghost square small" title="Traces with this value" aria-label={`Traces with ${k} like this`} href={href('/traces', { q: addTerm(params.get('q') ?? '', `attr.${k}:${quote(String(v))}`) })}><Icon name="filter" /></a>}<Copy text={plain(v)} label={`Copy ${k}`} /></td></tr>)}</tbody></table></section>
  }
  const empty = !Object.keys(span.attributes ?? {}).length && !Object.keys(span.resource ?? {}).length
  if (empty) return <Empty title="No attributes" />
  return <div class="stack"><input class="input" type="search" aria-label="Find an attribute" placeholder="Find" value={find} onInput={event => setFind(event.currentTarget.value)} />{table('Span', span.attributes, true)}{table('Resource', span.resource, true)}</div>
}

function Value({ value }: { value: unknown }) {
  const [open, setOpen] = useState(false)
  const text = typeof value === 'object' && value !== null ? JSON.stringify(value, null, 2) : String(value)
  const long = text.length > 300
  const shown = long && !open ? text.slice(0, 260) + ' …' : text
  return <>{typeof value === 'object' && value !== null ? <Json text={shown} /> : <span class={typeof value === 'string' ? 'j-str' : 'j-num'}>{shown}</span>}{long && <button class="button ghost small" onClick={() => setOpen(!open)}>{open ? 'Less' : 'All'}</button>}</>
}

function Events({ node, tree }: { node: Node; tree: Tree }) {
  const events = node.span.events ?? []
  if (!events.length) return <Empty title="No events" />
  return <ol class="events">{events.map((event, i) => <li key={i}><div class="row"><b>{event.name}</b>{event.timestamp !== undefined && <span class="push dim" title={clock(event.timestamp, true)}>+{duration(Math.max(0, event.timestamp - tree.start))}</span>}</div>
    {event.attributes && Object.keys(event.attributes).length > 0 && <Json text={JSON.stringify(event.attributes, null, 2)} />}</li>)}</ol>
}

function Scores({ trace, span, onScored }: { trace: Trace; span: Span; onScored: () => void }) {
  const [busy, setBusy] = useState(false), [problem, setProblem] = useState('')
  const all: (Score & { whole?: boolean })[] = [...(span.scores ?? []), ...(trace.scores ?? []).map(score => ({ ...score, whole: true }))]
  const send = async (name: string, value: number, comment?: string) => {
    setBusy(true)
    setProblem('')
    try {
      await api.score({ trace_id: trace.trace_id, span_id: span.span_id, name, value, comment })
      toast('Score added')
      onScored()
    } catch (e) { setProblem(e instanceof Error ? e.message : String(e)) } finally { setBusy(false) }
  }
  return <div class="stack">
    {all.length > 0 && <table class="attrs"><tbody>{all.map((s, i) => <tr key={i}><th scope="row">{s.name}</th><td><b>{exact(s.value)}</b>{s.whole && <span class="dim"> whole trace</span>}{s.comment && <span class="soft"> {s.comment}</span>}</td><td class="tools dim">{s.user_id}</td></tr>)}</tbody></table>}
    <div class="row"><span class="soft">Was this a good answer?</span><button class="button small" disabled={busy} onClick={() => send('thumbs', 1)}><Icon name="up" />Good</button><button class="button small" disabled={busy} onClick={() => send('thumbs', 0)}><Icon name="bad" />Bad</button></div>
    <form class="scoreform" onSubmit={event => {
      event.preventDefault()
      const form = event.currentTarget, data = new FormData(form)
      send(String(data.get('name')), Number(data.get('value')), String(data.get('comment') || '') || undefined).then(() => form.reset())
    }}>
      <label class="field"><span>Name</span><input class="input" name="name" required maxLength={100} placeholder="helpfulness" /></label>
      <label class="field"><span>Value</span><input class="input" name="value" type="number" step="any" required placeholder="0.8" /></label>
      <label class="field grow"><span>Comment</span><input class="input" name="comment" maxLength={1000} /></label>
      <button class="button primary" disabled={busy}>Add the score</button>
    </form>
    {problem && <p class="bad" role="alert">{problem}</p>}
  </div>
}

export function SpanDetail({ node, tree, trace, onChoose, onScored }: { node: Node; tree: Tree; trace: Trace; onChoose: (node: Node) => void; onScored: () => void }) {
  const { span } = node
  const talks = span.prompt !== undefined || span.completion !== undefined
  const [tab, setTab] = useState<Tab>(() => { const kept = readPref<Tab>('tab', 'talk'); return kept === 'talk' && !talks && span.kind !== 'llm' ? 'attributes' : kept })
  const raw = useMemo(() => tab === 'raw' ? JSON.stringify(span, null, 2) : '', [span, tab])
  const choose = (next: Tab) => { setTab(next); writePref('tab', next) }
  return <section class="detail" aria-label="Span">
    <header>
      <div class="row"><i class="kind" style={{ background: `var(--kind-${span.kind})` }} /><h2 class="cut" title={span.operation}>{span.operation}</h2>{span.status === 'ERROR' && <Chip tone="bad">Error</Chip>}<span class="push row"><Chip>{kindNames[span.kind]}</Chip>{span.model && <Chip tone="accent">{span.model}</Chip>}</span></div>
      {span.status === 'ERROR' && <div class="note bad"><Icon name="alert" /><p>{span.error ?? 'It failed; the sender gave no message.'}</p></div>}
      <Facts node={node} tree={tree} />
      <Usage span={span} />
    </header>
    <Tabs<Tab> label="About the span" value={tab} onChange={choose} tabs={[['talk', 'Conversation'], ['attributes', 'Attributes', Object.keys(span.attributes ?? {}).length], ['events', 'Events', span.events?.length ?? 0], ['scores', 'Scores', (span.scores?.length ?? 0) + (trace.scores?.length ?? 0)], ['raw', 'Raw']]} />
    <div class="tabbody" tabIndex={0} role="tabpanel" aria-label={tab}>
      {tab === 'talk' ? <Conversation node={node} onChoose={onChoose} /> : tab === 'attributes' ? <Attributes span={span} /> : tab === 'events' ? <Events node={node} tree={tree} />
        : tab === 'scores' ? <Scores trace={trace} span={span} onScored={onScored} /> : <div class="code"><Json text={raw} /><Copy text={raw} label="Copy the JSON" /></div>}
    </div>
  </section>
}
