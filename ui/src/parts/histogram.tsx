// How long things took, on a scale of tenfolds, to be brushed: drag over a part to filter for it.

import { useRef, useState } from 'preact/hooks'
import { count, duration } from '../lib/format'

export interface Bucket { low: number; high: number; count: number; failed?: number }

const round = (ms: number) => Number(ms.toPrecision(2))

export function Histogram({ data, onBrush, active }: { data: Bucket[]; onBrush: (low: number | null, high: number | null) => void; active?: boolean }) {
  const box = useRef<HTMLDivElement>(null)
  const [drag, setDrag] = useState<[number, number] | null>(null)
  const [over, setOver] = useState<number | null>(null)
  const max = Math.max(1, ...data.map(b => b.count))
  const at = (event: PointerEvent) => {
    const rect = box.current!.getBoundingClientRect()
    return Math.max(0, Math.min(data.length - 1, Math.floor((event.clientX - rect.left) / rect.width * data.length)))
  }
  const part = drag && [Math.min(...drag), Math.max(...drag)]
  const apply = (a: number, b: number) => onBrush(round(data[a].low), b === data.length - 1 ? null : round(data[b].high))
  if (!data.length) return <div class="histo none dim">No durations in this range</div>
  const ticks = data.flatMap((b, i) => Math.abs(Math.log10(b.low) - Math.round(Math.log10(b.low))) < 1e-6 ? [i] : [])
  return <div class="histo">
    <div class="bars" ref={box} role="img" aria-label={`Durations from ${duration(data[0].low)} to ${duration(data[data.length - 1].high)}`}
      onPointerDown={event => { const i = at(event); event.currentTarget.setPointerCapture(event.pointerId); setDrag([i, i]) }}
      onPointerMove={event => { const i = at(event); setOver(i); if (drag) setDrag([drag[0], i]) }}
      onPointerLeave={() => setOver(null)}
      onPointerUp={() => { if (part) apply(part[0], part[1]); setDrag(null) }}>
      {data.map((b, i) => <i key={i} class={part && (i < part[0] || i > part[1]) ? 'out' : ''}><b style={{ height: b.count ? Math.max(3, 100 * b.count / max) + '%' : '0' }} /></i>)}
    </div>
    <div class="ticks" aria-hidden="true">{ticks.map(i => <span style={{ left: 100 * i / data.length + '%' }}>{duration(data[i].low)}</span>)}</div>
    <div class="say dim">{part ? `${duration(data[part[0]].low)} – ${duration(data[part[1]].high)}` : over !== null && data[over] ? `${duration(data[over].low)} – ${duration(data[over].high)}: ${count(data[over].count)}` : 'Latency, drag to filter'}
      {active && <button class="button ghost small" onClick={() => onBrush(null, null)}>Clear</button>}</div>
  </div>
}
