// Small pieces that every page uses: states, popovers, copy buttons, sparklines, tables that sort.

import type { ComponentChildren, JSX } from 'preact'
import { useEffect, useId, useLayoutEffect, useRef, useState } from 'preact/hooks'
import { ApiError } from '../lib/api'
import type { Loaded } from '../lib/data'
import { Icon, type IconName } from './icon'

export function Empty({ icon = 'empty', title, children }: { icon?: IconName; title: string; children?: ComponentChildren }) {
  return <div class="state"><Icon name={icon} /><b>{title}</b>{children && <div>{children}</div>}</div>
}

export function Failure({ error, retry }: { error: ApiError; retry?: () => void }) {
  const title = error.gone ? 'The server does not answer' : error.missing ? 'This server does not offer this yet'
    : error.status === 403 ? 'This key may not do that' : error.denied ? 'A key is needed' : error.status === 504 ? 'That took too long' : error.status === 503 || error.status === 429 ? 'The server is busy' : 'That did not work'
  return <div class="state error" role="alert"><Icon name="alert" /><b>{title}</b><p>{error.message}</p>
    {error.hint && <p class="dim">{error.hint}</p>}
    {error.status === 504 && <p class="dim">A narrower time range or a narrower filter answers sooner.</p>}
    {retry && !error.missing && <button class="button small" onClick={retry}><Icon name="refresh" />Try again</button>}</div>
}

export function Ghost({ lines = 6 }: { lines?: number }) {
  const widths = ['92%', '78%', '85%', '64%', '88%', '71%']
  return <div class="stack" aria-hidden="true" style={{ padding: '14px' }}>
    {Array.from({ length: lines }, (_, i) => <div class="ghost-line" key={i} style={{ width: widths[i % widths.length] }} />)}</div>
}

/* Shows what a load brought, or why not. `chart` keeps the room of a chart and its legend meanwhile, so that nothing moves. */
export function Loading<T>({ load, lines, chart, children }: { load: Loaded<T>; lines?: number; chart?: 'usual' | 'tall'; children: (data: T) => ComponentChildren }) {
  if (load.data !== undefined) return <>{children(load.data)}</>
  if (!load.error && chart) return <div aria-busy="true"><div class={'chart waits' + (chart === 'tall' ? ' tall' : '')}><div class="ghost-line" /></div><div class="legend" /></div>
  if (load.error) return <Failure error={load.error} retry={load.reload} />
  return <div aria-busy="true"><Ghost lines={lines} />{load.slow && <p class="dim" style={{ padding: '0 14px' }}>Still working…</p>}</div>
}

/* A card with a title. */
export function Card({ title, note, aside, className = '', children }: { title?: ComponentChildren; note?: ComponentChildren; aside?: ComponentChildren; className?: string; children?: ComponentChildren }) {
  return <section class={'card ' + className}>
    {title && <header><h2>{title}</h2>{note && <p class="cut">{note}</p>}{aside && <div class="push row">{aside}</div>}</header>}
    {children}</section>
}

/* A button that opens something below it; closes on Escape, outside clicks and loss of focus. */
export function Popover({ label, title, side = 'right', className = '', children, pressed }:
  { label: ComponentChildren; title: string; side?: 'left' | 'right'; className?: string; pressed?: boolean; children: (close: () => void) => ComponentChildren }) {
  const [open, setOpen] = useState(false)
  const wrap = useRef<HTMLDivElement>(null), button = useRef<HTMLButtonElement>(null)
  useEffect(() => {
    if (!open) return
    const outside = (event: Event) => { if (!wrap.current?.contains(event.target as Node)) setOpen(false) }
    addEventListener('pointerdown', outside)
    return () => removeEventListener('pointerdown', outside)
  }, [open])
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === 'Escape' && open) { setOpen(false); button.current?.focus(); event.stopPropagation() }
    if (event.key !== 'ArrowDown' && event.key !== 'ArrowUp') return
    const items = [...wrap.current!.querySelectorAll<HTMLElement>('.pop .item')]
    if (!open || !items.length) return
    const at = items.indexOf(document.activeElement as HTMLElement)
    items[(at + (event.key === 'ArrowDown' ? 1 : items.length - 1) + (at < 0 && event.key === 'ArrowUp' ? 1 : 0)) % items.length].focus()
    event.preventDefault()
  }
  return <div class="pop-wrap" ref={wrap} onKeyDown={onKeyDown}>
    <button ref={button} type="button" class={'button ' + className} title={title} aria-expanded={open} aria-pressed={pressed} onClick={() => setOpen(!open)}><span class="sr">{title} </span>{label}</button>
    {open && <div class={'pop ' + side}>{children(() => { setOpen(false); button.current?.focus() })}</div>}
  </div>
}

export function Copy({ text, label = 'Copy', small = true }: { text: string | (() => string); label?: string; small?: boolean }) {
  const [done, setDone] = useState(false)
  useEffect(() => {
    if (!done) return
    const timer = setTimeout(() => setDone(false), 1400)
    return () => clearTimeout(timer)
  }, [done])
  const copy = async (event: MouseEvent) => {
    event.stopPropagation()
    const value = typeof text === 'function' ? text() : text
    try { await navigator.clipboard.writeText(value) } catch { copyBySelection(value) }
    setDone(true)
  }
  return <button type="button" class={'button ghost square' + (small ? ' small' : '')} title={done ? 'Copied' : label} aria-label={label} onClick={copy}><Icon name={done ? 'check' : 'copy'} /></button>
}

/* navigator.clipboard exists only under https and on localhost. */
function copyBySelection(value: string) {
  const area = document.createElement('textarea')
  area.value = value
  area.className = 'sr'
  document.body.append(area)
  area.select()
  document.execCommand('copy')
  area.remove()
}

export function Spark({ values, tone = '' }: { values: (number | null)[]; tone?: string }) {
  const known = values.map(v => v ?? 0)
  if (known.length < 2) return <svg class="spark" viewBox="0 0 100 30" preserveAspectRatio="none" aria-hidden="true" />
  const max = Math.max(...known, 1e-12), step = 100 / (known.length - 1)
  const line = known.map((v, i) => `${i ? 'L' : 'M'}${(i * step).toFixed(2)} ${(28 - 24 * v / max).toFixed(2)}`).join('')
  return <svg class={'spark ' + tone} viewBox="0 0 100 30" preserveAspectRatio="none" aria-hidden="true"><path class="fill" d={`${line}L100 30L0 30Z`} /><path d={line} /></svg>
}

export function Chip({ tone = '', children, title }: { tone?: string; children: ComponentChildren; title?: string }) {
  return <span class={'chip ' + tone} title={title}>{children}</span>
}

export function StatusDot({ status, fallback }: { status: string; fallback?: boolean }) {
  const name = fallback ? 'Fallback: answered although a call in it failed' : status === 'ERROR' ? 'Error' : status === 'OK' ? 'OK' : 'No status given'
  return <span class={'dot ' + (fallback ? 'fallback' : status)} role="img" aria-label={name} title={name} />
}

export interface Column<T> {
  key: string; name: ComponentChildren; num?: boolean; cell: (row: T) => ComponentChildren; sort?: (row: T) => number | string | undefined; title?: string
}
export function SortTable<T>({ columns, rows, start, rowKey, onRow, label, empty }:
  { columns: Column<T>[]; rows: T[]; start?: string; rowKey: (row: T) => string; onRow?: (row: T) => void; label: string; empty?: ComponentChildren }) {
  const [order, setOrder] = useState<{ key: string; up: boolean }>({ key: start ?? '', up: false })
  const by = columns.find(c => c.key === order.key)?.sort
  const sorted = by ? [...rows].sort((a, b) => compare(by(a), by(b)) * (order.up ? 1 : -1)) : rows
  if (!rows.length && empty) return <>{empty}</>
  return <div class="table-wrap" tabIndex={0} role="region" aria-label={label}><table class="table"><thead><tr>
    {columns.map(c => <th key={c.key} class={c.num ? 'num' : ''} title={c.title} scope="col" aria-sort={order.key === c.key ? order.up ? 'ascending' : 'descending' : undefined}>
      {c.sort ? <button onClick={() => setOrder({ key: c.key, up: order.key === c.key ? !order.up : !c.num })}>{c.name}{order.key === c.key && <span aria-hidden="true">{order.up ? '↑' : '↓'}</span>}</button> : c.name}</th>)}
  </tr></thead><tbody>
    {sorted.map(row => <tr key={rowKey(row)} class={onRow ? 'go' : ''} onClick={onRow && (event => { if (!(event.target as Element).closest('a,button')) onRow(row) })}>
      {columns.map(c => <td key={c.key} class={c.num ? 'num' : ''}>{c.cell(row)}</td>)}</tr>)}
  </tbody></table></div>
}
function compare(a: number | string | undefined, b: number | string | undefined) {
  if (a === undefined || b === undefined) return a === b ? 0 : a === undefined ? -1 : 1
  return a < b ? -1 : a > b ? 1 : 0
}

export function Tabs<T extends string>({ tabs, value, onChange, label }: { tabs: [T, ComponentChildren, number?][]; value: T; onChange: (tab: T) => void; label: string }) {
  const id = useId()
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key !== 'ArrowLeft' && event.key !== 'ArrowRight') return
    const at = tabs.findIndex(tab => tab[0] === value) + (event.key === 'ArrowRight' ? 1 : tabs.length - 1)
    onChange(tabs[at % tabs.length][0])
    event.preventDefault()
    event.stopPropagation()
    requestAnimationFrame(() => document.getElementById(id + tabs[at % tabs.length][0])?.focus())
  }
  return <div class="tabs" role="tablist" aria-label={label} onKeyDown={onKeyDown}>
    {tabs.map(([key, name, n]) => <button key={key} id={id + key} role="tab" type="button" aria-selected={key === value} tabIndex={key === value ? 0 : -1} onClick={() => onChange(key)}>{name}{n !== undefined && <span class="n">{n}</span>}</button>)}</div>
}

/* Keeps focus inside while open; Escape and the scrim close it. */
export function Dialog({ title, onClose, className = '', children }: { title?: string; onClose: () => void; className?: string; children: ComponentChildren }) {
  const box = useRef<HTMLDivElement>(null)
  useLayoutEffect(() => {
    const before = document.activeElement as HTMLElement | null
    const first = box.current!.querySelector<HTMLElement>('input,textarea,select') ?? box.current!
    first.focus()
    return () => before?.focus?.()
  }, [])
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === 'Escape') { onClose(); event.stopPropagation() }
    if (event.key !== 'Tab') return
    const items = [...box.current!.querySelectorAll<HTMLElement>('a[href],button:not([disabled]),input,select,textarea')]
    const last = items[items.length - 1]
    if (!event.shiftKey && document.activeElement === last) { items[0]?.focus(); event.preventDefault() }
    if (event.shiftKey && document.activeElement === items[0]) { last?.focus(); event.preventDefault() }
  }
  return <div class="scrim" onPointerDown={(event: PointerEvent) => { if (event.target === event.currentTarget) onClose() }} onKeyDown={onKeyDown}>
    <div class={'dialog ' + className} role="dialog" aria-modal="true" aria-label={title} ref={box} tabIndex={-1}>
      {title && <header><h2>{title}</h2><button class="button ghost square small push" aria-label="Close" onClick={onClose}><Icon name="close" /></button></header>}
      {children}</div></div>
}

let pushToast: (text: string) => void = () => {}
export function toast(text: string) { pushToast(text) }
export function Toasts() {
  const [items, setItems] = useState<{ id: number; text: string }[]>([])
  useEffect(() => {
    let next = 0
    pushToast = text => {
      const id = next++
      setItems(list => [...list.slice(-3), { id, text }])
      setTimeout(() => setItems(list => list.filter(item => item.id !== id)), 3500)
    }
  }, [])
  return <div class="toasts" role="status">{items.map(item => <div class="toast" key={item.id}>{item.text}</div>)}</div>
}

export type Style = JSX.CSSProperties

/* One of a few, side by side. */
export function Segmented<T extends string>({ choices, value, onChange, label }: { choices: [T, ComponentChildren][]; value: T; onChange: (choice: T) => void; label: string }) {
  return <div class="group" role="group" aria-label={label}>{choices.map(([key, name]) => <button key={key} type="button" class="button small" aria-pressed={key === value} onClick={() => onChange(key)}>{name}</button>)}</div>
}
