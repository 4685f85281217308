// Time ranges ("-1h".."now", Unix ms, ISO 8601) and the steps that charts use.

export interface Range { from: string; to: string }
export interface Span2 { from: number; to: number }

export const MINUTE = 60_000, HOUR = 60 * MINUTE, DAY = 24 * HOUR
const unit: Record<string, number> = { s: 1000, m: MINUTE, h: HOUR, d: DAY, w: 7 * DAY }

export const presets: [string, string][] = [
  ['-15m', 'Last 15 minutes'], ['-1h', 'Last hour'], ['-4h', 'Last 4 hours'], ['-24h', 'Last 24 hours'],
  ['-7d', 'Last 7 days'], ['-30d', 'Last 30 days'], ['-90d', 'Last 90 days'],
]

/* Unix ms of one end of a range; NaN when it says nothing. */
export function instant(text: string, now: number): number {
  if (text === 'now') return now
  const relative = /^-(\d+(?:\.\d+)?)([smhdw])$/.exec(text)
  if (relative) return now - Number(relative[1]) * unit[relative[2]]
  if (/^\d{9,}$/.test(text)) return Number(text)
  return Date.parse(text)
}

export function rangeOf(params: URLSearchParams): Range {
  return { from: params.get('from') ?? '-24h', to: params.get('to') ?? 'now' }
}

export function resolve(range: Range, now = Date.now()): Span2 {
  const to = instant(range.to, now), from = instant(range.from, now)
  const end = Number.isNaN(to) ? now : to
  return { from: Number.isNaN(from) || from >= end ? end - DAY : from, to: end }
}

const steps: [string, number][] = [
  ['1s', 1000], ['5s', 5000], ['10s', 10_000], ['30s', 30_000], ['1m', MINUTE], ['2m', 2 * MINUTE], ['5m', 5 * MINUTE],
  ['10m', 10 * MINUTE], ['15m', 15 * MINUTE], ['30m', 30 * MINUTE], ['1h', HOUR], ['2h', 2 * HOUR], ['4h', 4 * HOUR],
  ['6h', 6 * HOUR], ['12h', 12 * HOUR], ['1d', DAY], ['7d', 7 * DAY],
]
/* The step that cuts a range into about `wanted` pieces. */
export function stepFor(range: Span2, wanted = 60): { text: string; ms: number } {
  const ideal = (range.to - range.from) / wanted
  const [text, ms] = steps.find(step => step[1] >= ideal) ?? steps[steps.length - 1]
  return { text, ms }
}

export function describe(range: Range): string {
  const preset = presets.find(p => p[0] === range.from && range.to === 'now')
  if (preset) return preset[1]
  if (range.to === 'now' && range.from.startsWith('-')) return `Last ${range.from.slice(1)}`
  const { from, to } = resolve(range)
  const sameDay = new Date(from).toDateString() === new Date(to).toDateString()
  return `${dateTime(from)} – ${sameDay ? clock(to) : dateTime(to)}`
}

const two = (n: number) => String(n).padStart(2, '0')
const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']

export function clock(ms: number, withMillis = false): string {
  const d = new Date(ms)
  return `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}` + (withMillis ? '.' + String(d.getMilliseconds()).padStart(3, '0') : '')
}
export function day(ms: number): string {
  const d = new Date(ms)
  return `${d.getDate()} ${months[d.getMonth()]}` + (d.getFullYear() === new Date().getFullYear() ? '' : ` ${d.getFullYear()}`)
}
export function dateTime(ms: number): string { return `${day(ms)} ${clock(ms).slice(0, 5)}` }
export function ago(ms: number, now = Date.now()): string {
  const s = Math.round((now - ms) / 1000)
  if (s < 5) return 'now'
  if (s < 60) return `${s} s ago`
  if (s < 3600) return `${Math.floor(s / 60)} min ago`
  if (s < 86_400) return `${Math.floor(s / 3600)} h ago`
  return `${Math.floor(s / 86_400)} d ago`
}
