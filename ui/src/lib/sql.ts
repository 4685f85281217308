// What the SQL editor needs to know of SQL: colours, words to complete, and how an answer can be drawn.

import type { SqlResult } from './types'

export interface Piece { text: string; kind: 'key' | 'fn' | 'str' | 'num' | 'note' | '' }

export const keywords = ('SELECT FROM WHERE GROUP BY ORDER HAVING LIMIT OFFSET AS AND OR NOT IN LIKE BETWEEN IS NULL DISTINCT CASE WHEN THEN ELSE END JOIN LEFT ON USING WITH UNION ALL ASC DESC EXISTS CAST OVER PARTITION').split(' ')
const known = new Set(keywords)
const rule = /(--[^\n]*|\/\*[\s\S]*?(?:\*\/|$))|('(?:[^']|'')*'?)|\b(\d+(?:\.\d+)?)\b|([A-Za-z_]\w*)(?=\s*(\()?)/g

export function pieces(sql: string): Piece[] {
  const out: Piece[] = []
  let at = 0
  for (const m of sql.matchAll(rule)) {
    if (m.index! > at) out.push({ text: sql.slice(at, m.index), kind: '' })
    const kind = m[1] ? 'note' : m[2] ? 'str' : m[3] ? 'num' : known.has(m[4].toUpperCase()) ? 'key' : m[5] ? 'fn' : ''
    out.push({ text: m[0], kind })
    at = m.index! + m[0].length
  }
  out.push({ text: sql.slice(at), kind: '' })
  return out
}

export const tables = ['spans', 'traces', 'threads', 'scores', 'ai_storefront_traces']
export const functions = ['count', 'sum', 'avg', 'min', 'max', 'p50', 'p90', 'p95', 'p99', 'now_ms', 'json_extract', 'strftime', 'round', 'coalesce', 'lower', 'length', 'substr', 'JSON_EXTRACT_SCALAR', 'REGEXP_EXTRACT']

/* The word that ends at the caret. */
export function wordBefore(text: string, caret: number): string { return /[A-Za-z_][\w.]*$/.exec(text.slice(0, caret))?.[0] ?? '' }

export function completions(word: string, columns: string[]): { text: string; note: string }[] {
  const start = word.toLowerCase().replace(/^.*\./, '')
  if (!start) return []
  const all = [...tables.map(text => ({ text, note: 'table' })), ...columns.map(text => ({ text, note: 'column' })), ...functions.map(text => ({ text, note: 'function' })), ...keywords.map(text => ({ text, note: '' }))]
  return all.filter(c => c.text.toLowerCase().startsWith(start) && c.text.toLowerCase() !== start).slice(0, 9)
}

/* Unix milliseconds of a cell that is a time, judged by its column's name and its looks. */
export function timeOf(name: string, cell: unknown): number | null {
  if (typeof cell === 'string' && /^\d{4}-\d\d-\d\d([T ]\d\d(:\d\d)?(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?)?$/.test(cell)) {
    const ms = Date.parse(/[Z+]|-\d\d:?\d\d$/.test(cell.slice(10)) || cell.length === 10 ? cell : cell.replace(' ', 'T') + (cell.length === 13 ? ':00Z' : 'Z'))
    return Number.isNaN(ms) ? null : ms
  }
  if (typeof cell !== 'number' || !/(^|_)(ms|t|ts|time|start|minute|hour|day|bucket)(_|$)/i.test(name)) return null
  return cell > 1e17 ? cell / 1e6 : cell > 1e11 && cell < 1e14 ? cell : cell > 1e8 && cell < 1e11 ? cell * 1000 : null
}

export type Drawing = { kind: 'time'; times: number[]; lines: { name: string; values: (number | null)[] }[] } | { kind: 'bars'; label: string; value: string; rows: { name: string; value: number }[] }

/* A chart where there is a time and a number, bars where there is a name and a number; else nothing. */
export function drawingOf({ columns, rows }: SqlResult): Drawing | null {
  if (rows.length < 2 || rows.length > 5000) return null
  const numeric = columns.map((_, i) => rows.every(r => r[i] === null || typeof r[i] === 'number') && rows.some(r => r[i] !== null))
  const time = columns.findIndex((name, i) => rows.every(r => timeOf(name, r[i]) !== null))
  const numbers = columns.flatMap((_, i) => numeric[i] && i !== time ? [i] : []).slice(0, 6)
  if (!numbers.length) return null
  if (time >= 0) {
    const words = columns.findIndex((_, i) => i !== time && !numeric[i])
    const times = [...new Set(rows.map(r => timeOf(columns[time], r[time])!))].sort((a, b) => a - b)
    if (times.length < 2) return null
    const place = new Map(times.map((t, i) => [t, i]))
    const lines = new Map<string, (number | null)[]>()
    for (const r of rows) for (const n of words >= 0 ? numbers.slice(0, 1) : numbers) {
      const name = words >= 0 ? String(r[words] ?? 'none') : columns[n]
      if (!lines.has(name) && lines.size >= 8) continue
      if (!lines.has(name)) lines.set(name, Array(times.length).fill(null))
      lines.get(name)![place.get(timeOf(columns[time], r[time])!)!] = r[n] as number | null
    }
    return { kind: 'time', times, lines: [...lines].map(([name, values]) => ({ name, values })) }
  }
  const label = columns.findIndex((_, i) => !numeric[i])
  if (label < 0 || rows.length > 60) return null
  return { kind: 'bars', label: columns[label], value: columns[numbers[0]], rows: rows.map(r => ({ name: String(r[label] ?? 'none'), value: Number(r[numbers[0]] ?? 0) })) }
}

/* CSV as RFC 4180 has it. What a spreadsheet would run as a formula is kept from it by a quote. */
export function toCsv({ columns, rows }: SqlResult): string {
  const cell = (value: unknown) => {
    if (value === null || value === undefined) return ''
    const text = typeof value === 'object' ? JSON.stringify(value) : typeof value === 'string' && /^[=+\-@\t\r]/.test(value) ? "'" + value : String(value)
    return /[",\r\n]/.test(text) ? '"' + text.replace(/"/g, '""') + '"' : text
  }
  return [columns, ...rows].map(row => row.map(cell).join(',')).join('\r\n') + '\r\n'
}
