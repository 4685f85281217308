// Numbers as people read them: three figures, a unit, nothing more. Absent values are an en dash.

export const NONE = '–'
type Maybe = number | null | undefined
const absent = (n: Maybe): n is null | undefined => n === null || n === undefined || Number.isNaN(n)

const three = (n: number) => Math.abs(n) >= 100 ? n.toFixed(0) : Math.abs(n) >= 10 ? n.toFixed(1).replace(/\.0$/, '') : n.toFixed(2).replace(/\.?0+$/, '')

export function count(n: Maybe): string {
  if (absent(n)) return NONE
  const a = Math.abs(n)
  if (a < 1000) return Number.isInteger(n) ? String(n) : three(n)
  if (a < 9_995) return Math.round(n).toLocaleString('en-US')
  if (a < 999_500) return three(n / 1e3) + ' k'
  if (a < 999_500_000) return three(n / 1e6) + ' M'
  return three(n / 1e9) + ' G'
}
export function exact(n: Maybe): string { return absent(n) ? NONE : n.toLocaleString('en-US', { maximumFractionDigits: 6 }) }

export function duration(ms: Maybe): string {
  if (absent(ms)) return NONE
  if (ms === 0) return '0 ms'
  if (ms < 0.001) return `${three(ms * 1e6)} ns`
  if (ms < 1) return `${three(ms * 1000)} µs`
  if (ms < 999.5) return `${three(ms)} ms`
  if (ms < 59_950) return `${three(ms / 1000)} s`
  if (ms < 3_600_000) return `${Math.floor(ms / 60_000)} min ${Math.round(ms % 60_000 / 1000)} s`
  return `${three(ms / 3_600_000)} h`
}

export function usd(n: Maybe): string {
  if (absent(n)) return NONE
  const a = Math.abs(n)
  if (a === 0) return '$0'
  if (a < 0.000_01) return '< $0.00001'
  if (a < 0.01) return '$' + n.toFixed(5).replace(/0+$/, '')
  if (a < 1) return '$' + n.toFixed(4).replace(/0{1,2}$/, '')
  if (a < 1000) return '$' + n.toFixed(2)
  return '$' + count(n)
}

/* A share, 0 to 1. */
export function percent(n: Maybe): string {
  if (absent(n)) return NONE
  const p = n * 100
  return p === 0 ? '0 %' : p < 0.1 ? '< 0.1 %' : (p < 10 ? p.toFixed(1).replace(/\.0$/, '') : p.toFixed(0)) + ' %'
}

export function bytes(n: Maybe): string {
  if (absent(n)) return NONE
  const units = ['B', 'KB', 'MB', 'GB', 'TB']
  let i = 0, v = n
  while (v >= 1000 && i < units.length - 1) { v /= 1000; i++ }
  return `${three(v)} ${units[i]}`
}

/* Models of a trace or conversation in words: those that answer before those that only make embeddings. */
export function modelNames(models: string[] | undefined): string {
  const embeds = (name: string) => Number(/embed/i.test(name))
  return [...models ?? []].sort((a, b) => embeds(a) - embeds(b)).join(', ')
}

export type Format = (n: Maybe) => string
