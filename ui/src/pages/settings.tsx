// Settings: how the server does and how it was started, who may come in, and what this browser remembers.

import type { ComponentChildren } from 'preact'
import { useState } from 'preact/hooks'
import { accessKey, api, setAccessKey } from '../lib/api'
import { forget, refreshAll, useLoad } from '../lib/data'
import { bytes, count, duration, exact } from '../lib/format'
import { href } from '../lib/router'
import { readPref, writePref } from '../lib/prefs'
import { ago, dateTime } from '../lib/time'
import type { Forward, Key, ServerStatus } from '../lib/types'
import { Card, Chip, Copy, Dialog, Empty, Ghost, Loading, Segmented, toast } from '../parts/basics'
import { Icon } from '../parts/icon'
import { setTheme, type Theme, theme, Refresh, Top } from '../parts/shell'
import { Prices } from './models'

/* A value of the status in words: texts, numbers, lists, small objects. */
function say(value: unknown): string | undefined {
  if (value === undefined || value === null || value === '' || value === false) return undefined
  if (value === true) return 'on'
  if (Array.isArray(value)) return value.map(v => typeof v === 'object' && v ? String((v as { name?: string }).name ?? JSON.stringify(v)) : String(v)).join(', ') || undefined
  if (typeof value === 'object') return Object.entries(value).filter(([, v]) => v !== null && v !== undefined && v !== 0).map(([k, v]) => /bytes$/.test(k) ? bytes(Number(v)) : k === 'age_s' ? `${exact(Number((Number(v) / 86_400).toFixed(2)))} days` : `${k.replace(/_/g, ' ')} ${v}`).join(', ') || undefined
  return String(value)
}

function Facts({ rows }: { rows: [string, ComponentChildren, string?][] }) {
  return <dl class="settings">{rows.map(([name, value, how]) => <div key={name}><dt>{name}</dt><dd>{value === undefined ? <span class="dim">not known</span> : value}{how && <code class="how">{how}</code>}</dd></div>)}</dl>
}

const moment = (text: string | undefined) => text ? <span title={text}>{dateTime(Date.parse(text))} <span class="dim">{ago(Date.parse(text))}</span></span> : undefined

function Health({ s }: { s: ServerStatus }) {
  const problems: string[] = []
  if (s.store?.disk_full) problems.push('The disk is full: new spans are refused until there is room.')
  if (s.store?.segments_set_aside) problems.push(`${s.store.segments_set_aside} damaged segments were set aside; \`vitrine doctor --check\` says which.`)
  if (s.store?.disk_free_bytes !== undefined && s.store.disk_free_bytes < 1e9 && !s.store.disk_full) problems.push(`Only ${bytes(s.store.disk_free_bytes)} are free on the disk.`)
  const store = s.store ?? {}, ingest = s.ingest ?? {}
  return <Card title="Health" className="health" aside={problems.length ? <Chip tone="bad">{problems.length === 1 ? 'One problem' : `${problems.length} problems`}</Chip> : <Chip tone="good">Fine</Chip>}>
    {problems.map(text => <div class="note bad" key={text}><Icon name="alert" /><p>{text}</p></div>)}
    <div class="healthgrid">
      <Facts rows={[['Version', s.version], ['Running for', s.uptime_s !== undefined ? duration(s.uptime_s * 1000) : undefined], ['Spans coming in', ingest.spans_per_s !== undefined ? `${exact(Number(ingest.spans_per_s.toPrecision(3)))} a second` : undefined],
        ['Accepted', count(ingest.accepted)], ['Refused', ingest.rejected ? <span class="warn">{count(ingest.rejected)}</span> : '0'], ...(store.sampled_out ? [['Left out by sampling', <>{count(store.sampled_out)} <span class="dim">spans</span></>] as [string, ComponentChildren]] : []), ['Watching live', count(s.live_clients ?? 0)]]} />
      <Facts rows={[['Spans kept', count(store.spans_total)], ['On disk', <>{bytes(store.segment_bytes)} <span class="dim">in {count(store.segments)} segments</span></>], ['Not sealed yet', <>{count(store.memtable_rows)} <span class="dim">spans, log of {bytes(store.wal_bytes)}</span></>], ['Free on disk', bytes(store.disk_free_bytes)], ['Oldest', moment(store.oldest)], ['Newest', moment(store.newest)]]} />
    </div>
    {ingest.last_error && <div class="note warn"><Icon name="alert" /><p><b>Last refused{ingest.last_error.source && <> at {ingest.last_error.source}</>}{ingest.last_error.time && <>, {ago(Date.parse(ingest.last_error.time))}</>}.</b> {ingest.last_error.message}</p></div>}
  </Card>
}

function Configuration({ s }: { s: ServerStatus }) {
  return <Card title="How it was started" className="started"><div class="body"><Facts rows={[
    ['Listens at', say(s.listen) ?? location.host], ['gRPC', say(s.grpc) ?? 'off', '--grpc'], ['Data', <code>{s.store?.dir}</code>, '--data'], ['Kept', say(s.retention) ?? 'everything, until told otherwise', '--retention 30d'],
    ['Masked', say(s.masking) ?? 'nothing', '--mask email,card,apikey'], ['Sampled', s.sampling ? <span class="rules">{s.sampling}</span> : 'every trace is kept', '--sample "keep=status:error; rate=10%"'], ['Durability', say(s.durability), '--durability'], ['Keys', s.keys_required ? 'asked for' : 'not asked for', '--require-key'], ['Proxy for', say(s.upstreams) ?? 'no provider', '--upstream openai=https://api.openai.com'],
    ['StatsD', s.statsd ? 'metrics of spans are sent' : 'not sent', '--statsd 127.0.0.1:8125'], ['Forwarded to', s.forwards?.length ? s.forwards.map(f => f.name).join(', ') : 'nobody', '--forward otlp=https://…'],
  ]} /></div></Card>
}

/* What is passed on to others, and whether they take it. */
function Forwards({ forwards }: { forwards: Forward[] }) {
  const trouble = (f: Forward) => f.spans_dropped > 0 ? <Chip tone="bad">{count(f.spans_dropped)} dropped</Chip> : f.requests_refused > 0 ? <Chip tone="warn">some refused</Chip> : f.spans_queued > 0 ? <Chip tone="info">waiting</Chip> : <Chip tone="good">Fine</Chip>
  return <Card title="Forwarding" className="forwards" note="spans that are passed on as they come"><div class="table-wrap" tabIndex={0} role="region" aria-label="Forwarding"><table class="table"><thead><tr><th scope="col">To</th><th scope="col">State</th><th scope="col" class="num">Requests taken</th><th scope="col" class="num">Refused</th><th scope="col" class="num">Spans waiting</th><th scope="col" class="num">On disk</th></tr></thead><tbody>
    {forwards.map((f, i) => <tr key={i}><td><b>{f.name}</b></td><td>{trouble(f)}</td><td class="num">{count(f.requests_sent)}</td><td class="num">{count(f.requests_refused)}</td><td class="num">{count(f.spans_queued)}</td><td class="num">{bytes(f.queue_bytes)}</td></tr>)}</tbody></table></div></Card>
}

const scopesOf = (key: Key) => Array.isArray(key.scopes) ? key.scopes : (key.scopes ?? '').split(',').filter(Boolean)

function Keys() {
  const load = useLoad('keys|', signal => api.keys(signal))
  const [made, setMade] = useState<{ name: string; key: string } | null>(null), [adding, setAdding] = useState(false), [revoking, setRevoking] = useState<Key | null>(null), [problem, setProblem] = useState('')
  const add = async (form: HTMLFormElement) => {
    const data = new FormData(form), scopes = data.getAll('scope').join(',')
    if (!scopes) { setProblem('Choose what the key may do.'); return }
    try {
      const answer = await api.addKey({ name: String(data.get('name')).trim(), scopes, project: String(data.get('project') || '').trim() || undefined })
      setAdding(false)
      setMade({ name: String(data.get('name')), key: answer.key })
      load.reload()
    } catch (e) { setProblem(e instanceof Error ? e.message : String(e)) }
  }
  const revoke = async (key: Key) => {
    setRevoking(null)
    try { await api.revokeKey(key.id); toast(`${key.name} is revoked`); load.reload() } catch (e) { toast(e instanceof Error ? e.message : String(e)) }
  }
  return <Card title="Keys" className="keyscard" note="who may send, read, administer" aside={<button class="button small" onClick={() => { setProblem(''); setAdding(true) }}>Add a key</button>}>
    {made && <div class="note good" role="status"><Icon name="check" /><div><p><b>{made.name}</b>: copy the key now, it is not shown again.</p><div class="row"><code class="newkey">{made.key}</code><Copy text={made.key} label="Copy the key" /><button class="button ghost small" onClick={() => setMade(null)}>Done</button></div></div></div>}
    <Loading load={load} lines={4}>{data => data.keys.length ? <div class="table-wrap" tabIndex={0} role="region" aria-label="Keys"><table class="table"><thead><tr><th scope="col">Name</th><th scope="col">May</th><th scope="col">Project</th><th scope="col">Made</th><th scope="col">Last used</th><th><span class="sr">Revoke</span></th></tr></thead><tbody>
      {data.keys.map(key => <tr key={key.id}><td><b>{key.name}</b></td><td><span class="row">{scopesOf(key).map(scope => <Chip key={scope} tone={scope === 'admin' ? 'warn' : ''}>{scope}</Chip>)}</span></td><td>{key.project || <span class="dim">all</span>}</td><td>{moment(key.created) ?? ''}</td><td>{key.last_used ? ago(Date.parse(key.last_used)) : <span class="dim">never</span>}</td>
        <td class="num">{key.revoked ? <Chip>revoked</Chip> : <button class="button small" onClick={() => setRevoking(key)}>Revoke</button>}</td></tr>)}</tbody></table></div>
      : <Empty title="No keys">On loopback none is needed. Beyond it, the server asks for one.</Empty>}</Loading>
    {adding && <Dialog title="Add a key" onClose={() => setAdding(false)}><form class="body stack" onSubmit={event => { event.preventDefault(); add(event.currentTarget) }}>
      <label class="field"><span>Name</span><input class="input" name="name" required maxLength={100} placeholder="storefront-production" /></label>
      <fieldset class="scopes"><legend>It may</legend>{[['ingest', 'send spans', true], ['read', 'read everything', false], ['admin', 'delete data and make keys', false]].map(([scope, text, on]) => <label class="check" key={scope as string}><input type="checkbox" name="scope" value={scope as string} defaultChecked={on as boolean} /><b>{scope}</b><span class="soft">{text}</span></label>)}</fieldset>
      <label class="field"><span>Project</span><input class="input" name="project" maxLength={100} placeholder="all" /></label>
      {problem && <p class="bad" role="alert">{problem}</p>}
      <button class="button primary">Make the key</button></form></Dialog>}
    {revoking && <Dialog title={`Revoke ${revoking.name}?`} onClose={() => setRevoking(null)}><div class="body stack"><p>Whoever uses it is refused at once. This cannot be undone.</p><div class="row"><button class="button danger" onClick={() => revoke(revoking)}>Revoke</button><button class="button" onClick={() => setRevoking(null)}>Keep it</button></div></div></Dialog>}
  </Card>
}

function Browser() {
  const [chosen, setChosen] = useState<Theme>(theme()), [key, setKey] = useState(accessKey())
  const views = readPref<unknown[]>('views', []).length, statements = readPref<unknown[]>('sql', []).length
  return <Card title="This browser" note="kept here, sent nowhere"><div class="body"><dl class="settings">
    <div><dt>Light or dark</dt><dd><Segmented label="Theme" value={chosen} choices={[['system', 'As the system'], ['light', 'Light'], ['dark', 'Dark']]} onChange={next => { setChosen(next); setTheme(next) }} /></dd></div>
    <div><dt>Access key</dt><dd>{key ? <><code>{key.slice(0, 6)}…</code> <button class="button small" onClick={() => { setAccessKey(''); setKey(''); forget(); refreshAll() }}>Forget it</button></> : <span class="dim">none</span>}</dd></div>
    <div><dt>Saved</dt><dd>{views} views, {statements} SQL statements {(views > 0 || statements > 0) && <button class="button small" onClick={() => { writePref('views', []); writePref('sql', []); toast('Forgotten') }}>Forget them</button>}</dd></div>
  </dl></div></Card>
}

export function Settings() {
  const load = useLoad('status|', signal => api.status(signal))
  return <>
    <Top title="Settings" loading={load.loading}><a class="button wide-only" href={href('/start')}>How to send traces</a><Refresh /></Top>
    <main class="page narrow">
      {load.data ? <><Health s={load.data} /><Configuration s={load.data} />{load.data.forwards?.length ? <Forwards forwards={load.data.forwards} /> : null}</> : <><Card title="Health" className="health"><Loading load={load} lines={7}>{() => null}</Loading></Card>{!load.error && <Card title="How it was started" className="started"><Ghost lines={9} /></Card>}</>}
      <Keys />
      <Prices />
      <Browser />
    </main>
  </>
}
