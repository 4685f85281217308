// Live: spans as they end, newest first.

import { useEffect } from 'preact/hooks'
import { count, duration, usd } from '../lib/format'
import { isTyping } from '../lib/keys'
import { useLive } from '../lib/live'
import { href, navigate, setParams } from '../lib/router'
import { useScope } from '../lib/scope'
import { spoken } from '../lib/said'
import { clock } from '../lib/time'
import type { Span } from '../lib/types'
import { Chip, Empty, Spark, StatusDot } from '../parts/basics'
import { FilterBar } from '../parts/filterbar'
import { Icon } from '../parts/icon'
import { useNarrow } from '../parts/rows'
import { Top } from '../parts/shell'
import { Virtual } from '../parts/virtual'
import { kindNames } from '../parts/waterfall'

const ROW = 32
const wide = '14px 92px minmax(170px, 1.2fr) minmax(110px, .8fr) 84px 76px 82px minmax(120px, 1.6fr)', narrow = '14px 64px minmax(0, 1fr) 66px'

/* Why it failed, else the first words of what was answered or last asked. */
function gist(span: Span): string {
  if (span.error) return span.error
  const said = spoken(span.completion, 'assistant').concat(spoken(span.prompt, 'user').reverse()).find(s => s.text || s.calls.length)
  if (!said) return ''
  return said.text ? said.text.slice(0, 300).replace(/[*`#|]+/g, ' ').replace(/\s+/g, ' ').trim() : said.calls.map(call => `calls ${call.name}`).join(', ')
}

export function Live() {
  const { q, scope } = useScope()
  const live = useLive(q)
  const phone = useNarrow()
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (isTyping(event) || event.key !== 'p' && event.key !== ' ' || (event.target as HTMLElement).closest('button,a')) return
      live.pause(!live.paused)
      event.preventDefault()
    }
    addEventListener('keydown', onKey)
    return () => removeEventListener('keydown', onKey)
  })
  const rate = live.perSecond.slice(-6, -1).reduce((a, b) => a + b, 0) / 5
  const open = (span: Span) => { if (span.trace_id) navigate(href('/traces/' + span.trace_id, { span: span.span_id })) }
  const row = (i: number) => {
    const s = live.spans[i]
    return <div key={s.span_id + s.start} class={'trow' + (s.status === 'ERROR' ? ' failed' : '')} role="row" style={{ gridTemplateColumns: phone ? narrow : wide, height: ROW + 'px' }} onClick={event => { if (!(event.target as Element).closest('a')) open(s) }}>
      <span role="gridcell"><StatusDot status={s.status} fallback={s.fallback} /></span>
      <span role="gridcell" class="soft">{clock(Date.parse(s.start), !phone)}</span>
      <span role="gridcell" class="row"><i class="kind" style={{ background: `var(--kind-${s.kind})` }} title={kindNames[s.kind]} /><a class="cut plain strong" href={href('/traces/' + s.trace_id, { span: s.span_id })}>{s.operation}</a></span>
      {!phone && <span role="gridcell" class="cut">{s.model ?? <span class="dim">{s.service}</span>}</span>}
      <span role="gridcell" class="num">{duration(s.duration_ms)}</span>
      {!phone && <><span role="gridcell" class="num">{s.tokens?.total !== undefined ? count(s.tokens.total) : ''}</span><span role="gridcell" class="num">{s.cost_usd !== undefined ? usd(s.cost_usd) : ''}</span>
        <span role="gridcell" class={'cut ' + (s.error ? 'bad' : 'soft')}>{gist(s)}</span></>}
    </div>
  }
  const names = phone ? ['Time', 'Span', 'Took'] : ['Time', 'Span', 'Model', 'Duration', 'Tokens', 'Cost', 'What was said']
  return <>
    <Top title="Live">
      <span class={'livestate ' + live.state} role="status"><i class="pulse" />{live.state === 'open' ? live.paused ? 'Paused' : 'Connected' : live.state === 'connecting' ? 'Connecting…' : `Lost, again in ${Math.ceil(live.retryInMs / 1000)} s`}</span>
      <button class={'button ' + (live.paused ? 'primary' : '')} aria-pressed={live.paused} title="Pause (space)" onClick={() => live.pause(!live.paused)}><Icon name={live.paused ? 'play' : 'pause'} />{live.paused ? 'Go on' : 'Pause'}</button>
    </Top>
    <main class="page flush fixed">
      <div class="bar">
        <FilterBar value={q} scope={scope} error={live.error} placeholder="All spans. Narrow it: kind:llm status:error service:ai-storefront" onChange={text => setParams({ q: text }, true)} />
        <button class="button square" title="Clear the list" aria-label="Clear the list" onClick={live.clear}><Icon name="trash" /></button>
      </div>
      <div class="liverate"><div><b>{rate >= 10 ? count(Math.round(rate)) : rate.toFixed(1)}</b> <span class="dim">spans/s</span></div><Spark values={live.perSecond.slice(0, -1)} />
        <div class="row push"><span class="dim">{count(live.total)} seen</span>{live.paused && live.missed > 0 && <Chip tone="info">{count(live.missed)} while paused</Chip>}
          {live.dropped > 0 && <Chip tone="warn" title="This browser was too slow to take them all. They are stored; only this view left them out.">{count(live.dropped)} left out</Chip>}</div></div>
      <div class="results">
        {live.spans.length ? <div class="list"><Virtual count={live.spans.length} rowHeight={ROW} row={row} role="grid" label="Spans" className="rows"
          header={<div class="thead" role="rowgroup"><div class="trow head" role="row" style={{ gridTemplateColumns: phone ? narrow : wide }}><span role="columnheader"><span class="sr">Status</span></span>{names.map(name => <span key={name} role="columnheader" class={/Duration|Took|Tokens|Cost/.test(name) ? 'num' : ''}>{name}</span>)}</div></div>} /></div>
          : <Empty icon="live" title={live.state === 'open' ? q ? 'Waiting for a span that matches' : 'Waiting for spans' : 'Not connected'}>{live.state === 'open' ? <>They appear here as they end. <a href={href('/start')}>How to send one</a></> : 'The page connects again by itself.'}</Empty>}
      </div>
    </main>
  </>
}
