// The waterfall: one row a span, bars on a common time axis, the critical path underlined, a map of the whole above.

import { useEffect, useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks'
import { count, duration, usd } from '../lib/format'
import { type Node, type Tree, visible } from '../lib/tree'
import type { Kind } from '../lib/types'
import { cssColor } from './chart'
import { Icon } from './icon'
import { useNarrow } from './rows'
import { Virtual } from './virtual'

const ROW = 28
const LETTER = 7 // px, the mean width of what is written beside a bar
export const kindNames: Record<Kind, string> = { llm: 'LLM call', turn: 'Chat turn', tool: 'Tool', retrieval: 'Retrieval', embedding: 'Embedding', agent: 'Agent', chain: 'Chain', other: 'Other' }

function niceTicks(from: number, to: number, wanted: number): number[] {
  const raw = (to - from) / wanted, power = 10 ** Math.floor(Math.log10(raw))
  const step = [1, 2, 5, 10].map(m => m * power).find(s => s >= raw) ?? raw
  const out: number[] = []
  for (let t = Math.ceil(from / step) * step; t < to && out.length < 50; t += step) out.push(t)
  return out
}

function Minimap({ tree, view, onView }: { tree: Tree; view: [number, number]; onView: (view: [number, number]) => void }) {
  const canvas = useRef<HTMLCanvasElement>(null)
  const [drag, setDrag] = useState<[number, number] | null>(null)
  const total = Math.max(tree.end - tree.start, 1e-6)
  useLayoutEffect(() => {
    const el = canvas.current!
    const draw = () => {
      const width = el.clientWidth, height = el.clientHeight, ratio = devicePixelRatio || 1
      el.width = width * ratio
      el.height = height * ratio
      const ink = el.getContext('2d')!
      ink.scale(ratio, ratio)
      const colours = Object.fromEntries(Object.keys(kindNames).map(kind => [kind, cssColor('--kind-' + kind)])) as Record<Kind, string>
      const bad = cssColor('--bad'), rows = tree.order.length, thick = Math.max(1, Math.min(4, height / rows * 0.7))
      for (let i = 0; i < rows; i++) {
        const node = tree.order[i]
        ink.fillStyle = node.span.status === 'ERROR' ? bad : colours[node.span.kind] ?? colours.other
        ink.fillRect((node.start - tree.start) / total * width, 1 + i / rows * (height - 2), Math.max(1, (node.end - node.start) / total * width), thick)
      }
    }
    draw()
    const observer = new ResizeObserver(draw)
    observer.observe(el)
    return () => observer.disconnect()
  }, [tree])
  const at = (event: PointerEvent) => {
    const rect = canvas.current!.getBoundingClientRect()
    return Math.max(0, Math.min(1, (event.clientX - rect.left) / rect.width)) * total
  }
  const part = drag ? [Math.min(...drag), Math.max(...drag)] : view
  return <div class="minimap" onPointerDown={event => { event.currentTarget.setPointerCapture(event.pointerId); setDrag([at(event), at(event)]) }}
    onPointerMove={event => { if (drag) setDrag([drag[0], at(event)]) }}
    onPointerUp={() => { if (drag) onView(Math.abs(drag[1] - drag[0]) > total / 200 ? [Math.min(...drag), Math.max(...drag)] : [0, total]); setDrag(null) }}
    onDblClick={() => onView([0, total])} title="Drag to look closer, click for the whole">
    <canvas ref={canvas} role="img" aria-label="The whole trace" />
    <i class="shade" style={{ left: 0, width: 100 * part[0] / total + '%' }} /><i class="shade" style={{ left: 100 * part[1] / total + '%', right: 0 }} />
  </div>
}

export function Waterfall({ tree, chosen, onChoose }: { tree: Tree; chosen: Node; onChoose: (node: Node) => void }) {
  const total = Math.max(tree.end - tree.start, 1e-6)
  const [view, setView] = useState<[number, number]>([0, total])
  const [folded, setFolded] = useState<Set<Node>>(new Set())
  useEffect(() => { setView([0, total]); setFolded(new Set()) }, [tree])
  const rows = useMemo(() => visible(tree, folded), [tree, folded])
  const at = rows.indexOf(chosen)
  const width = Math.max(view[1] - view[0], 1e-6)
  const narrow = useNarrow()
  // how wide the lanes are decides where a bar's times find room
  const axis = useRef<HTMLDivElement>(null)
  const [lane, setLane] = useState(400)
  useLayoutEffect(() => {
    const observer = new ResizeObserver(() => setLane(axis.current!.clientWidth || 400))
    observer.observe(axis.current!)
    return () => observer.disconnect()
  }, [])
  const ticks = niceTicks(view[0], view[1], narrow ? 2 : 5)
  const toggle = (node: Node, fold = !folded.has(node)) => {
    if (!node.children.length) return
    const next = new Set(folded)
    if (fold) next.add(node)
    else next.delete(node)
    setFolded(next)
  }
  useEffect(() => { // a span chosen inside a folded one comes into sight
    const closed = new Set(folded)
    for (let node = chosen.parent; node; node = node.parent) closed.delete(node)
    if (closed.size !== folded.size) setFolded(closed)
  }, [chosen])
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      const target = event.target as HTMLElement
      if (/^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName) || target.closest('.detail,.rail,.pop,.grip') || event.ctrlKey || event.metaKey || event.altKey) return
      if (event.key === 'ArrowDown' || event.key === 'j') onChoose(rows[Math.min(rows.length - 1, at + 1)])
      else if (event.key === 'ArrowUp' || event.key === 'k') onChoose(rows[Math.max(0, at - 1)])
      else if (event.key === 'ArrowLeft') { if (chosen.children.length && !folded.has(chosen)) toggle(chosen, true); else if (chosen.parent) onChoose(chosen.parent) }
      else if (event.key === 'ArrowRight') { if (folded.has(chosen)) toggle(chosen, false); else if (chosen.children[0]) onChoose(chosen.children[0]) }
      else if (event.key === 'Home') onChoose(rows[0])
      else if (event.key === 'End') onChoose(rows[rows.length - 1])
      else return
      event.preventDefault()
    }
    addEventListener('keydown', onKey)
    return () => removeEventListener('keydown', onKey)
  })
  const pos = (ms: number) => 100 * (ms - view[0]) / width
  const row = (i: number) => {
    const node = rows[i], { span } = node
    const left = pos(node.start - tree.start), size = 100 * (node.end - node.start) / width
    const right = Math.min(100, left + size)
    const took = duration(span.duration_ms), cost = span.cost_usd ? ' ' + usd(span.cost_usd) : ''
    // beside the bar with what it cost, or without, else on it; never over the names at the left
    const fits = (share: number, text: string) => share / 100 * lane >= text.length * LETTER + 8
    const besides = [took + cost, took].find(text => fits(100 - right, text) || fits(left, text))
    const side = besides === undefined ? 'inside' : fits(100 - right, besides) ? 'after' : 'before'
    const ttft = span.ttft_ms !== undefined && span.duration_ms > 0 ? Math.min(100, 100 * span.ttft_ms / span.duration_ms) : null
    return <div key={span.span_id + i} class={`wrow${i === at ? ' at' : ''}${span.status === 'ERROR' ? ' failed' : ''}`} role="treeitem" aria-level={node.depth + 1} aria-selected={i === at} aria-expanded={node.children.length ? !folded.has(node) : undefined} style={{ height: ROW + 'px' }} onClick={() => onChoose(node)}>
      <div class="wname" style={{ paddingLeft: 8 + Math.min(node.depth, 14) * 14 + 'px' }}>
        {node.children.length ? <button class="fold" tabIndex={-1} aria-label={folded.has(node) ? 'Unfold' : 'Fold'} onClick={event => { event.stopPropagation(); toggle(node) }}><Icon name={folded.has(node) ? 'right' : 'down'} /></button> : <span class="fold" />}
        <i class="kind" style={{ background: `var(--kind-${span.kind})` }} title={kindNames[span.kind]} />
        <span class="cut" title={span.operation}>{span.operation}</span>
        {folded.has(node) && <span class="chip">{count(node.size - 1)}</span>}
        {span.model && <span class="dim cut wmodel">{span.model}</span>}
      </div>
      <div class="wlane">
        {right >= 0 && left <= 100 && <>
          <div class={'wbar' + (node.critical ? ' critical' : '')} style={{ left: Math.max(0, left) + '%', width: `max(2px, ${Math.min(100, right) - Math.max(0, left)}%)`, background: `var(--kind-${span.kind})` }}>
            {ttft !== null && left >= 0 && <i class="ttft" style={{ width: ttft + '%' }} title={`First token after ${duration(span.ttft_ms)}`} />}
          </div>
          <span class={'wtime ' + side} style={side === 'before' ? { right: 100 - left + '%', paddingRight: '6px' } : side === 'inside' ? { right: 100 - right + '%', paddingRight: '6px' } : { left: right + '%', paddingLeft: '6px' }}>{took}{cost && besides === took + cost ? <span class="dim">{cost}</span> : null}</span>
        </>}
      </div>
    </div>
  }
  const kinds = Object.keys(tree.kinds) as Kind[]
  return <section class="waterfall" aria-label="Waterfall">
    <div class="wtools"><div class="legend2">{kinds.map(kind => <span key={kind}><i class="kind" style={{ background: `var(--kind-${kind})` }} />{kindNames[kind]}<span class="dim"> {tree.kinds[kind]}</span></span>)}<span title="What the trace waited for: shortening anything else does not make it faster"><i class="critline" />Critical path</span></div>
      <div class="push row">{folded.size > 0 ? <button class="button ghost small" onClick={() => setFolded(new Set())}>Unfold all</button> : tree.count > 30 && <button class="button ghost small" onClick={() => setFolded(new Set(tree.order.filter(n => n.depth >= 1 && n.children.length)))}>Fold</button>}
        {(view[0] > 0 || view[1] < total) && <button class="button ghost small" onClick={() => setView([0, total])}>Whole trace</button>}</div></div>
    {tree.count > 3 && <Minimap tree={tree} view={view} onView={setView} />}
    <div class="waxis"><div class="wname" /><div class="wlane" ref={axis}>{ticks.map(t => <span key={t} style={{ left: pos(t) + '%' }}>{t === 0 ? '0' : duration(t)}</span>)}</div></div>
    <Virtual count={rows.length} rowHeight={ROW} row={row} role="tree" label="Spans" reveal={at} className="wrows" />
  </section>
}
