// One conversation as the shopper saw it, with what each answer took beside it.

import type { ComponentChildren } from 'preact'
import { useEffect } from 'preact/hooks'
import { api } from '../lib/api'
import { term } from '../lib/filter'
import { useLoad } from '../lib/data'
import { count, duration, modelNames, usd } from '../lib/format'
import { href, useRoute } from '../lib/router'
import { ago, clock, day } from '../lib/time'
import { spoken } from '../lib/said'
import type { Call, Thread as Data, Turn } from '../lib/types'
import { Chip, Copy, Empty, Failure, Ghost } from '../parts/basics'
import { Icon } from '../parts/icon'
import { Markdown } from '../parts/markdown'
import { Refresh, Top } from '../parts/shell'

const words = (said: string | undefined, role: string) => spoken(said, role).map(s => s.text).filter(Boolean).join('\n\n')
const traceHref = (turn: Turn, span?: string) => href('/traces/' + turn.trace_id, { span })

/* Why the answer was not the one that was meant. */
function Trouble({ turn }: { turn: Turn }) {
  const failed = turn.calls?.find(call => call.status === 'ERROR')
  const why = failed ? <><a href={traceHref(turn, failed.span_id)}>{failed.model ?? failed.operation}</a> failed{failed.error && <>: {failed.error}</>}. </> : turn.error ? <>{turn.error} </> : null
  if (turn.status === 'ERROR') return <div class="note bad"><Icon name="alert" /><p><b>No answer came.</b> {why}</p></div>
  if (!turn.fallback) return null
  const saved = turn.calls?.find(call => call.kind === 'llm' && call.status !== 'ERROR')
  return <div class="note warn"><Icon name="alert" /><p><b>Fallback.</b> {why}{saved ? <>{saved.model ?? saved.operation} answered instead.</> : 'The application answered by itself.'}</p></div>
}

function Used({ calls, turn }: { calls: Call[]; turn: Turn }) {
  const used = calls.filter(call => call.kind === 'tool' || call.kind === 'retrieval')
  if (!used.length) return null
  return <div class="used">{used.map(call => <a key={call.span_id} class={'chip ' + (call.status === 'ERROR' ? 'bad' : '')} href={traceHref(turn, call.span_id)} title={`${call.kind}, ${duration(call.duration_ms)}${call.error ? ': ' + call.error : ''}`}>
    <Icon name={call.kind === 'tool' ? 'tool' : 'search'} size={12} />{call.operation.replace(/^execute_tool /, '')} <span class="dim">{duration(call.duration_ms)}</span></a>)}</div>
}

function Meta({ turn }: { turn: Turn }) {
  const first = turn.calls?.find(call => call.kind === 'llm' && call.ttft_ms !== undefined)
  const parts: [string, ComponentChildren][] = [['Took', duration(turn.duration_ms)]]
  if (first) parts.push(['First token', duration(Date.parse(first.start) - Date.parse(turn.start) + first.ttft_ms!)])
  if (turn.tokens?.total !== undefined) parts.push(['Tokens', <span title={`${turn.tokens.input ?? 0} read, ${turn.tokens.output ?? 0} written`}>{count(turn.tokens.total)}</span>])
  if (turn.cost_usd !== undefined) parts.push(['Cost', usd(turn.cost_usd)])
  return <footer class="meta">
    {[...new Set(turn.calls?.filter(call => call.kind === 'llm' && call.model).map(call => call.model!))].map(model => <Chip key={model} tone="accent">{model}</Chip>)}
    <dl>{parts.map(([name, value]) => <div key={name}><dt>{name}</dt><dd>{value}</dd></div>)}</dl>
    {turn.scores?.map((score, i) => <Chip key={i} tone={score.value > 0.5 ? 'good' : 'bad'} title={score.comment}>{score.name === 'thumbs' ? <><Icon name={score.value ? 'up' : 'bad'} size={12} />{score.value ? 'good' : 'bad'}</> : `${score.name} ${score.value}`}</Chip>)}
    <a class="push" href={traceHref(turn)}>Trace</a>
  </footer>
}

function TurnView({ turn, chosen }: { turn: Turn; chosen: boolean }) {
  const asked = words(turn.input, 'user'), answered = words(turn.output, 'assistant')
  return <li id={turn.trace_id} class={'turn' + (chosen ? ' chosen' : '')}>
    <time class="dim" dateTime={turn.start} title={turn.start}>{clock(Date.parse(turn.start))}</time>
    {asked && <div class="bubble asked"><span class="sr">Shopper:</span><Markdown text={asked} /></div>}
    <div class={'bubble answered' + (turn.status === 'ERROR' ? ' failed' : turn.fallback ? ' fallback' : '')}>
      <Trouble turn={turn} />
      <Used calls={turn.calls ?? []} turn={turn} />
      {answered ? <><span class="sr">Assistant:</span><Markdown text={answered} /></> : turn.status !== 'ERROR' && <p class="dim">{asked ? 'The answer was not recorded.' : 'What was said was not recorded.'}</p>}
      <Meta turn={turn} />
    </div>
  </li>
}

function Side({ thread }: { thread: Data }) {
  const took = Date.parse(thread.last) - Date.parse(thread.first)
  const rows: [string, ComponentChildren][] = [
    ['User', thread.user_id ? <><a href={href('/threads', { q: term('user', thread.user_id) })}>{thread.user_id}</a></> : undefined],
    ['Began', <span title={thread.first}>{day(Date.parse(thread.first))} {clock(Date.parse(thread.first))}, {ago(Date.parse(thread.first))}</span>],
    ['Lasted', took > 0 ? duration(took) : undefined], ['Turns', count(thread.turn_count)], ['LLM calls', count(thread.llm_calls)],
    ['Fallbacks', thread.fallbacks ? <span class="warn">{count(thread.fallbacks)}</span> : undefined], ['Errors', thread.errors ? <span class="bad">{count(thread.errors)}</span> : undefined],
    ['Tokens', thread.tokens?.total !== undefined ? <>{count(thread.tokens.total)} <span class="dim">{count(thread.tokens.input)} → {count(thread.tokens.output)}</span></> : undefined],
    ['Cost', thread.cost_usd !== undefined ? usd(thread.cost_usd) : undefined], ['Models', modelNames(thread.models)],
  ]
  return <aside class="threadside" aria-label="About the conversation"><dl>{rows.map(([name, value]) => value !== undefined && value !== '' && <div key={name}><dt>{name}</dt><dd>{value}</dd></div>)}</dl>
    <a class="button small" href={href('/traces', { q: term('thread', thread.thread_id), from: Date.parse(thread.first) - 60_000, to: Date.parse(thread.last) + 3_600_000 })}><Icon name="traces" />All its traces</a></aside>
}

export function Thread() {
  const { segments, params } = useRoute()
  const id = segments[1]
  const load = useLoad(`thread ${id}|`, signal => api.thread(id, signal))
  const thread = load.data, chosen = params.get('trace')
  useEffect(() => { document.title = `${id} · Vitrine` }, [id])
  useEffect(() => { if (chosen && thread) document.getElementById(chosen)?.scrollIntoView({ block: 'center' }) }, [chosen, !!thread])
  return <>
    <Top title={<div class="crumbs"><a href={href('/threads')}>Threads</a><span class="sep">/</span><h1>{id}</h1></div>} loading={load.loading}><Copy text={() => location.href} label="Copy the address" small={false} /><Refresh /></Top>
    <main class="page">
      {!thread ? load.error ? load.error.status === 404 ? <Empty icon="search" title="No such conversation">It may be older than what is kept. <a href={href('/threads')}>All conversations</a></Empty> : <Failure error={load.error} retry={load.reload} /> : <Ghost lines={10} />
        : <div class="threadpage"><ol class="turns" aria-label="Conversation">{thread.turns.map(turn => <TurnView key={turn.span_id ?? turn.trace_id} turn={turn} chosen={turn.trace_id === chosen} />)}</ol><Side thread={thread} /></div>}
    </main>
  </>
}
