// Points with names: what a thing costs against how good it is.

import { useLayoutEffect, useRef, useState } from 'preact/hooks'
import { usd } from '../lib/format'

export interface ScatterPoint { name: string; x: number; y: number; size: number; color: string }
interface Box { left: number; top: number; right: number; bottom: number }

const HEIGHT = 216, LEFT = 40, RIGHT = 18, TOP = 16, BOTTOM = 26, LETTER = 6.6
const meet = (a: Box, b: Box) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom

/* Two to five round numbers up to the greatest. */
function ticksTo(most: number): number[] {
  const rough = most / 3, unit = 10 ** Math.floor(Math.log10(rough))
  const step = unit * ([1, 2, 2.5, 5, 10].find(n => n * unit >= rough) ?? 10)
  return Array.from({ length: Math.floor(most / step + 1e-9) + 1 }, (_, i) => i * step)
}

/* Where each name stands: right, left, above or below its point, the first place that meets no other. */
function placeLabels(points: { name: string; cx: number; cy: number; r: number }[], width: number) {
  const taken: Box[] = points.map(p => ({ left: p.cx - p.r, top: p.cy - p.r, right: p.cx + p.r, bottom: p.cy + p.r }))
  return points.map(({ name, cx, cy, r }) => {
    const wide = name.length * LETTER
    const places = [
      { x: cx + r + 5, y: cy + 4, anchor: 'start' as const }, { x: cx - r - 5, y: cy + 4, anchor: 'end' as const },
      { x: cx, y: cy - r - 6, anchor: 'middle' as const }, { x: cx, y: cy + r + 14, anchor: 'middle' as const },
    ]
    const boxOf = (p: typeof places[number]): Box => {
      const left = p.anchor === 'start' ? p.x : p.anchor === 'end' ? p.x - wide : p.x - wide / 2
      return { left, right: left + wide, top: p.y - 10, bottom: p.y + 3 }
    }
    const best = places.find(p => { const b = boxOf(p); return b.left >= 0 && b.right <= width && b.top >= 0 && !taken.some(t => meet(t, b)) }) ?? places[2]
    taken.push(boxOf(best))
    return best
  })
}

export function Scatter({ points, onPick }: { points: ScatterPoint[]; onPick: (point: ScatterPoint) => void }) {
  const host = useRef<HTMLDivElement>(null)
  const [width, setWidth] = useState(480)
  useLayoutEffect(() => {
    const observer = new ResizeObserver(() => setWidth(host.current!.clientWidth - 20))
    observer.observe(host.current!)
    return () => observer.disconnect()
  }, [])
  const xMax = Math.max(...points.map(p => p.x)) * 1.15 || 1, xTicks = ticksTo(xMax)
  const ys = points.map(p => p.y), least = Math.min(...ys)
  const low = least >= 0 ? Math.max(0, Math.floor((least - 0.1) * 4) / 4) : least, high = Math.max(1, ...ys)
  const x = (v: number) => LEFT + (width - LEFT - RIGHT) * v / xMax
  const y = (v: number) => HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (v - low) / (high - low || 1)
  const most = Math.max(...points.map(p => p.size), 1)
  const drawn = points.map(p => ({ ...p, cx: x(p.x), cy: y(p.y), r: 5 + 7 * Math.sqrt(p.size / most) }))
  const labels = placeLabels(drawn, width)
  return <div class="scatter" ref={host}><svg viewBox={`0 0 ${width} ${HEIGHT}`} role="group" aria-label="Score against cost by model">
    {(high <= 1 && low >= 0 ? [0, .25, .5, .75, 1].filter(v => v >= low) : [0, .25, .5, .75, 1].map(f => low + f * (high - low))).map(v => <g key={v}><line x1={LEFT} x2={width - RIGHT} y1={y(v)} y2={y(v)} /><text x={LEFT - 7} y={y(v) + 3.5} text-anchor="end">{Number(v.toFixed(2))}</text></g>)}
    {xTicks.map(v => <text key={v} x={x(v)} y={HEIGHT - 8} text-anchor={v === 0 ? 'start' : x(v) > width - 40 ? 'end' : 'middle'}>{v === 0 ? '$0' : '$' + Number(v.toPrecision(3))}</text>)}
    {drawn.map((p, i) => <g key={p.name} class="point" role="button" tabIndex={0} onClick={() => onPick(p)} onKeyDown={event => { if (event.key === 'Enter') onPick(p) }}>
      <title>{`${p.name}: score ${p.y.toFixed(2)}, ${usd(p.x)} a trace, ${p.size} scores`}</title>
      <circle cx={p.cx} cy={p.cy} r={p.r} style={{ fill: `var(${p.color})`, stroke: `var(${p.color})` }} /><text class="label" x={labels[i].x} y={labels[i].y} text-anchor={labels[i].anchor}>{p.name}</text></g>)}
  </svg><p class="dim">Mean score ↑ · mean cost of a scored trace →</p></div>
}
