// Charts over uPlot: themed, with one tooltip, hover in step over all charts of a page, drag to zoom, click to filter.

import { useEffect, useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks'
import uPlot from 'uplot'
import type { Format } from '../lib/format'
import { count } from '../lib/format'
import { clock, DAY, dateTime, day } from '../lib/time'

export interface Line { key: string; name: string; color: string; values: (number | null)[]; total?: string; dash?: boolean; hidden?: boolean }
export interface ChartProps {
  label: string; times: number[]; lines: Line[]; format?: Format; kind?: 'line' | 'bars' | 'area'; stacked?: boolean; range?: [number, number]; tall?: boolean
  step?: number; onZoom?: (from: number, to: number) => void; onPick?: (line: Line | null, time: number) => void; legend?: boolean
}

const styleOf = () => getComputedStyle(document.documentElement)
export function cssColor(name: string) { return name.startsWith('--') ? styleOf().getPropertyValue(name).trim() : name }
export const palette = ['--c1', '--c2', '--c3', '--c4', '--c5', '--c6', '--c7', '--c8']

/* Charts are drawn one a frame, from the top: the figures above them are on the screen before the first. */
const waiting: (() => void)[] = []
function drawNext() {
  waiting.shift()?.()
  if (waiting.length) requestAnimationFrame(drawNext)
}
function whenFree(draw: () => void) {
  waiting.push(draw)
  if (waiting.length === 1) requestAnimationFrame(() => requestAnimationFrame(drawNext))
  return () => { const at = waiting.indexOf(draw); if (at >= 0) waiting.splice(at, 1, () => {}) }
}

/* The theme as a value that changes when colours must be read again. */
let themeVersion = 0
const themeListeners = new Set<() => void>()
export function themeChanged() { themeVersion++; themeListeners.forEach(listener => listener()) }
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', themeChanged)
function useTheme() {
  const [version, set] = useState(themeVersion)
  useEffect(() => {
    const listener = () => set(themeVersion)
    themeListeners.add(listener)
    return () => { themeListeners.delete(listener) }
  }, [])
  return version
}

function stack(lines: Line[]): (number | null)[][] {
  const sums: number[] = []
  return lines.map(line => line.values.map((v, i) => (sums[i] = (sums[i] ?? 0) + (line.hidden ? 0 : v ?? 0))))
}

function axisTime(u: uPlot, splits: number[]) {
  const wide = (u.scales.x.max! - u.scales.x.min!) * 1000 > 1.5 * DAY
  return splits.map(s => {
    const d = new Date(s * 1000)
    return wide && d.getHours() + d.getMinutes() === 0 ? day(s * 1000) : wide ? clock(s * 1000).slice(0, 5) : clock(s * 1000).slice(0, splits[1] - splits[0] < 60 ? 8 : 5)
  })
}

export function Chart({ label, times, lines, format = count, kind = 'line', stacked = false, range, tall, step, onZoom, onPick, legend = true }: ChartProps) {
  const host = useRef<HTMLDivElement>(null), plot = useRef<uPlot>(), theme = useTheme()
  const [hidden, setHidden] = useState<Record<string, boolean>>({})
  const [tip, setTip] = useState<{ x: number; y: number; i: number } | null>(null)
  const shown = useMemo(() => lines.map(line => ({ ...line, hidden: hidden[line.key] })), [lines, hidden])
  const latest = useRef({ shown, onZoom, onPick, times, format })
  latest.current = { shown, onZoom, onPick, times, format }

  const data = useMemo(() => {
    const values = stacked ? stack(shown) : shown.map(line => line.values)
    return [times.map(t => t / 1000), ...(stacked ? values.reverse() : values)] as uPlot.AlignedData
  }, [times, shown, stacked])
  // uPlot is made anew when its series change; mere new data is set into it
  const shape = lines.map(l => l.key + l.color + (l.dash ? '-' : '')).join() + kind + stacked + theme
  const latestData = useRef(data)
  latestData.current = data

  useLayoutEffect(() => {
    let end = () => {}
    const cancel = whenFree(() => { end = draw() })
    return () => { cancel(); end() }
  }, [shape])
  const draw = () => {
    const box = host.current!
    const soft = cssColor('--text-3'), grid = cssColor('--line')
    const order = stacked ? [...latest.current.shown].reverse() : latest.current.shown
    const series: uPlot.Series[] = order.map(line => {
      const color = cssColor(line.color)
      const filled = stacked || kind !== 'line'
      return {
        label: line.name, stroke: kind === 'bars' ? color : color, width: kind === 'bars' ? 0 : line.dash ? 1 : 1.6, dash: line.dash ? [4, 4] : undefined,
        fill: filled ? (stacked || kind === 'bars' ? color : color + '22') : undefined, points: { show: false }, spanGaps: kind === 'line',
        paths: kind === 'bars' ? uPlot.paths.bars!({ size: [0.82, 40], gap: 0, radius: stacked ? 0 : 0.12 }) : undefined,
      }
    })
    const axis: uPlot.Axis = { stroke: soft, grid: { stroke: grid, width: 1 }, ticks: { show: false }, font: `11px ${styleOf().getPropertyValue('--font')}` }
    const u = new uPlot({
      width: box.clientWidth || 300, height: box.clientHeight || 190, padding: [10, 18, 0, 0], legend: { show: false },
      cursor: { sync: { key: 'page' }, drag: { x: !!onZoom, y: false, setScale: false }, points: { show: kind !== 'bars' && !stacked, size: 6 }, y: false },
      scales: {
        x: { time: true, range: (_u, min, max) => range ? [range[0] / 1000, range[1] / 1000] : kind === 'bars' && step ? [min - step / 2000, max + step / 2000] : [min, max] },
        y: { range: (_u, _min, max) => [0, max > 0 ? max * 1.08 : 1] },
      },
      axes: [
        { ...axis, grid: { show: false }, values: axisTime, space: 64, size: 24, gap: 4 },
        { ...axis, values: (_u, splits) => splits.map(s => latest.current.format(s)), size: (_u, values) => Math.max(34, ...(values ?? []).map(v => v.length * 6.4 + 12)), space: 34, gap: 6 },
      ],
      series: [{}, ...series],
      hooks: {
        setCursor: [u => {
          const i = u.cursor.idx
          if (i === null || i === undefined || (u.cursor.left ?? -1) < 0 || !u.over.matches(':hover')) { setTip(null); return }
          const at = u.over.getBoundingClientRect()
          setTip({ x: at.left + u.cursor.left!, y: at.top, i })
        }],
        setSelect: [u => {
          if (u.select.width < 6) return
          const from = u.posToVal(u.select.left, 'x') * 1000, to = u.posToVal(u.select.left + u.select.width, 'x') * 1000
          u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false)
          latest.current.onZoom?.(Math.floor(from), Math.ceil(to))
        }],
      },
    }, latestData.current, box)
    latest.current.shown.forEach((line, i) => { if (!stacked && line.hidden) u.setSeries(i + 1, { show: false }) })
    plot.current = u
    let downAt = 0
    u.over.addEventListener('pointerdown', event => { downAt = event.clientX })
    u.over.addEventListener('click', event => {
      const i = u.cursor.idx
      if (Math.abs(event.clientX - downAt) > 4 || i === null || i === undefined) return
      latest.current.onPick?.(nearest(u, i, latest.current.shown, stacked), latest.current.times[i])
    })
    const observer = new ResizeObserver(() => { if (box.clientWidth) u.setSize({ width: box.clientWidth, height: box.clientHeight }) })
    observer.observe(box)
    return () => { observer.disconnect(); u.destroy(); plot.current = undefined }
  }
  useLayoutEffect(() => { plot.current?.setData(data) }, [data])
  useLayoutEffect(() => { if (range) plot.current?.setScale('x', { min: range[0] / 1000, max: range[1] / 1000 }) }, [range?.[0], range?.[1]])
  useLayoutEffect(() => {
    if (!stacked) shown.forEach((line, i) => plot.current?.series[i + 1] && plot.current.setSeries(i + 1, { show: !line.hidden }))
  }, [shown, shape])

  const right = tip !== null && tip.x > innerWidth - 260
  return <>
    <div class={'chart' + (tall ? ' tall' : '')} ref={host} role="img" aria-label={`${label}: ${lines.map(l => l.name + (l.total ? ' ' + l.total : '')).join(', ')}`} onMouseLeave={() => setTip(null)} />
    {legend && <div class="legend">
      {lines.map(line => <button key={line.key} type="button" aria-pressed={!hidden[line.key]} title={`Show or hide ${line.name}`} onClick={() => setHidden({ ...hidden, [line.key]: !hidden[line.key] })}>
        <i class="swatch" style={{ background: `var(${line.color})` }} /><span class="cut">{line.name}</span>{line.total && <b>{line.total}</b>}</button>)}</div>}
    {tip && times[tip.i] !== undefined && <div class="tip" style={{ left: right ? 'auto' : tip.x + 14 + 'px', right: right ? innerWidth - tip.x + 14 + 'px' : 'auto', top: tip.y + 6 + 'px' }}>
      <div class="when">{dateTime(times[tip.i])}</div>
      {shown.filter(l => !l.hidden && l.values[tip.i] !== null && l.values[tip.i] !== undefined).slice(0, 10).map(l =>
        <div class="line" key={l.key}><i class="swatch" style={{ background: `var(${l.color})` }} /><span class="cut">{l.name}</span><b>{format(l.values[tip.i])}</b></div>)}
    </div>}
  </>
}

/* The series whose line (or stacked piece) the pointer is nearest to. */
function nearest(u: uPlot, i: number, lines: Line[], stacked: boolean): Line | null {
  const y = u.posToVal(u.cursor.top ?? 0, 'y')
  let best: Line | null = null, gap = Infinity, below = 0
  for (const line of lines) {
    const v = line.values[i]
    if (line.hidden || v === null || v === undefined) continue
    if (stacked) {
      below += v
      if (y <= below) return line
    } else if (Math.abs(v - y) < gap) {
      gap = Math.abs(v - y)
      best = line
    }
  }
  return best
}
