// One trace: what happened in it as a waterfall, and everything about the span that is chosen.

import { useEffect, useMemo, useRef, useState } from 'preact/hooks'
import { api } from '../lib/api'
import { useLoad } from '../lib/data'
import { count, duration, usd } from '../lib/format'
import { term } from '../lib/filter'
import { readPref, writePref } from '../lib/prefs'
import { href, setParams, useRoute } from '../lib/router'
import { clock, day } from '../lib/time'
import { buildTree, type Node, type Tree } from '../lib/tree'
import type { Trace as TraceData } from '../lib/types'
import { Chip, Copy, Empty, Failure, Ghost, StatusDot } from '../parts/basics'
import { Icon } from '../parts/icon'
import { Top } from '../parts/shell'
import { SpanDetail } from '../parts/spandetail'
import { totals } from '../lib/totals'
import { Waterfall } from '../parts/waterfall'

function Fact({ name, children, title }: { name: string; children: preact.ComponentChildren; title?: string }) {
  return <div class="fact" title={title}><dt>{name}</dt><dd>{children}</dd></div>
}

function Summary({ tree, trace }: { tree: Tree; trace: TraceData }) {
  const sum = useMemo(() => totals(tree), [tree])
  const root = tree.roots[0]
  return <dl class="facts">
    <Fact name="Status"><span class="row"><StatusDot status={root.span.status} fallback={sum.fallback} />{sum.fallback ? 'Fallback' : root.span.status === 'ERROR' ? 'Error' : root.span.status === 'OK' ? 'OK' : 'Not given'}</span></Fact>
    <Fact name="Duration">{duration(tree.end - tree.start)}</Fact>
    <Fact name="Started" title={root.span.start}>{day(tree.start)} {clock(tree.start, true)}</Fact>
    <Fact name="Spans">{count(tree.count)}{sum.calls > 0 && <span class="dim"> · {sum.calls} LLM</span>}</Fact>
    {sum.ttft !== undefined && <Fact name="First token">{duration(sum.ttft)}</Fact>}
    {sum.tokens !== undefined && <Fact name="Tokens" title={`${sum.input ?? 0} read, ${sum.output ?? 0} written`}>{count(sum.tokens)}<span class="dim"> {count(sum.input)} → {count(sum.output)}</span></Fact>}
    {sum.cost !== undefined && <Fact name="Cost">{usd(sum.cost)}</Fact>}
    {sum.models.length > 0 && <Fact name={sum.models.length > 1 ? 'Models' : 'Model'}>{sum.models.join(', ')}</Fact>}
    {sum.user && <Fact name="User"><a href={href('/traces', { q: term('user', sum.user), span: null })}>{sum.user}</a></Fact>}
    {sum.thread && <Fact name="Thread"><a href={href('/threads/' + encodeURIComponent(sum.thread), { trace: trace.trace_id })}>{sum.thread}</a></Fact>}
    {root.span.service && <Fact name="Service">{root.span.service}</Fact>}
    <Fact name="Trace id"><span class="row"><span class="mono cut">{trace.trace_id.slice(0, 8)}…</span><Copy text={trace.trace_id} label="Copy the trace id" /></span></Fact>
  </dl>
}

function Notices({ tree, choose }: { tree: Tree; choose: (node: Node) => void }) {
  const sum = totals(tree)
  const failed = tree.errors.filter(node => !node.children.some(child => child.troubled))
  if (!failed.length) return null
  const first = failed[0]
  const link = (node: Node) => <button class="linklike" onClick={() => choose(node)}>{node.span.operation}</button>
  const answered = sum.fallback && tree.order.find(node => node.span.kind === 'llm' && node.span.status !== 'ERROR' && node.start >= first.start)
  if (sum.fallback) return <div class="note warn"><Icon name="alert" /><p><b>The shopper was answered, but not as meant.</b> {link(first)}{first.span.model && <> ({first.span.model})</>} failed after {duration(first.span.duration_ms)}{first.span.error ? <>: {first.span.error}.</> : '.'} {answered ? <>Then {link(answered)}{answered.span.model && <> ({answered.span.model})</>} answered.</> : 'The turn still succeeded, so the answer came from a fallback of the application.'}{failed.length > 1 && <> {failed.length} spans failed in all.</>}</p></div>
  return <div class="note bad"><Icon name="alert" /><p><b>{failed.length === 1 ? 'One span failed.' : `${failed.length} spans failed.`}</b> {link(first)}{first.span.error && <>: {first.span.error}</>}</p></div>
}

export function Trace() {
  const { segments, params } = useRoute()
  const id = segments[1]
  const load = useLoad(`trace ${id}|`, signal => api.trace(id, signal))
  const trace = load.data
  const tree = useMemo(() => trace && trace.spans.length ? buildTree(trace.spans) : null, [trace])
  const wanted = params.get('span')
  const node = tree ? (wanted && tree.byId.get(wanted)) || firstOfInterest(tree) : null
  const choose = (next: Node) => setParams({ span: next.span.span_id }, true)
  const [width, setWidth] = useState<number>(readPref('detail', 46))
  const split = useRef<HTMLDivElement>(null)
  useEffect(() => { document.title = tree ? `${tree.roots[0].span.operation} · Vitrine` : 'Trace · Vitrine' }, [tree])
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (!tree || !node || event.key !== 'e' || event.ctrlKey || event.metaKey || /^(INPUT|TEXTAREA|SELECT)$/.test((event.target as HTMLElement).tagName)) return
      const next = tree.errors[(tree.errors.indexOf(node) + 1) % tree.errors.length]
      if (next) choose(next)
    }
    addEventListener('keydown', onKey)
    return () => removeEventListener('keydown', onKey)
  })
  const resize = (event: PointerEvent) => {
    const grip = event.currentTarget as HTMLElement
    grip.setPointerCapture(event.pointerId)
    const move = (e: PointerEvent) => {
      const box = split.current!.getBoundingClientRect()
      setWidth(Math.max(25, Math.min(70, 100 * (box.right - e.clientX) / box.width)))
    }
    grip.addEventListener('pointermove', move)
    grip.addEventListener('pointerup', () => { grip.removeEventListener('pointermove', move); setWidth(w => { writePref('detail', w); return w }) }, { once: true })
  }
  const title = <div class="crumbs"><a href={href('/traces', { q: null })}>Traces</a><span class="sep">/</span><h1>{tree ? tree.roots[0].span.operation : 'Trace'}</h1>{tree && tree.roots.length > 1 && <Chip title="Their parents are not here (yet)">{tree.roots.length} roots</Chip>}</div>
  return <>
    <Top title={title} loading={load.loading}>{trace && <Copy text={() => location.href} label="Copy the address" small={false} />}</Top>
    <main class="page flush fixed">
      {!trace ? load.error ? load.error.status === 404
        ? <Empty icon="search" title="No such trace">It may be older than what is kept, or its spans have not come yet. <button class="button small" onClick={load.reload}>Look again</button></Empty>
        : <Failure error={load.error} retry={load.reload} /> : <Ghost lines={12} />
        : !tree || !node ? <Empty title="This trace has no spans" />
        : <>
          <div class="tracehead"><Summary tree={tree} trace={trace} /><Notices tree={tree} choose={choose} /></div>
          <div class="tracesplit" ref={split} style={{ gridTemplateColumns: `minmax(0, 1fr) 5px minmax(0, ${width}%)` }}>
            <Waterfall tree={tree} chosen={node} onChoose={choose} />
            <div class="grip" role="separator" aria-orientation="vertical" aria-label="Width of the detail" aria-valuenow={Math.round(width)} aria-valuemin={25} aria-valuemax={70} tabIndex={0} onPointerDown={resize}
              onKeyDown={event => { if (event.key === 'ArrowLeft' || event.key === 'ArrowRight') { setWidth(Math.max(25, Math.min(70, width + (event.key === 'ArrowLeft' ? 3 : -3)))); event.stopPropagation() } }} />
            <SpanDetail key={node.span.span_id} node={node} tree={tree} trace={trace} onChoose={choose} onScored={load.reload} />
          </div>
        </>}
    </main>
  </>
}

/* Errors first; else the first call of a model; else the root. */
function firstOfInterest(tree: Tree): Node {
  const deepest = tree.errors.find(node => !node.children.some(child => child.troubled))
  return deepest ?? tree.order.find(node => node.span.kind === 'llm') ?? tree.roots[0]
}
