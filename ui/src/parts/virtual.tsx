// A list of rows of one height, of which only those in sight exist. Scrolls with the window or in a box of its own.

import type { ComponentChildren, RefObject } from 'preact'
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks'

const SPARE = 8
/* Browsers stop at about 16 M pixels of height; past it the list is scaled. */
const HEIGHT_MAX = 12_000_000

export interface VirtualProps {
  count: number; rowHeight: number; row: (index: number) => ComponentChildren; className?: string; label?: string
  onEnd?: () => void; reveal?: number; box?: RefObject<HTMLDivElement>; role?: 'list' | 'grid' | 'tree'; header?: ComponentChildren
}

export function Virtual({ count, rowHeight, row, className = '', label, onEnd, reveal, box, role = 'list', header }: VirtualProps) {
  const own = useRef<HTMLDivElement>(null)
  const host = box ?? own
  const [view, setView] = useState({ first: 0, last: 40 })
  const full = count * rowHeight, height = Math.min(full, HEIGHT_MAX), scale = full > HEIGHT_MAX ? full / HEIGHT_MAX : 1
  const measure = () => {
    const el = host.current
    if (!el) return
    const top = el.scrollTop * scale
    const first = Math.max(0, Math.floor(top / rowHeight) - SPARE)
    const last = Math.min(count, Math.ceil((top + el.clientHeight) / rowHeight) + SPARE)
    setView(old => old.first === first && old.last === last ? old : { first, last })
    if (onEnd && last >= count - 2 * SPARE) onEnd()
  }
  useLayoutEffect(measure, [count, rowHeight])
  useEffect(() => {
    const observer = new ResizeObserver(measure)
    observer.observe(host.current!)
    return () => observer.disconnect()
  })
  useLayoutEffect(() => {
    const el = host.current
    if (reveal === undefined || reveal < 0 || !el) return
    const head = header ? rowHeight : 0
    const y = reveal * rowHeight / scale
    if (y < el.scrollTop) el.scrollTop = y
    else if (y + rowHeight + head > el.scrollTop + el.clientHeight) el.scrollTop = y + rowHeight + head - el.clientHeight
  }, [reveal])
  const last = Math.min(view.last, count), first = Math.min(view.first, last)
  const rows: ComponentChildren[] = []
  for (let i = first; i < last; i++) rows.push(row(i))
  const shift = scale === 1 ? first * rowHeight : (host.current?.scrollTop ?? 0) - ((host.current?.scrollTop ?? 0) * scale - first * rowHeight)
  return <div class={'virtual ' + className} ref={host} onScroll={measure} tabIndex={0} role={role} aria-label={label} aria-rowcount={role === 'grid' ? count : undefined}>
    {header}
    <div class="virtual-space" style={{ height: height + 'px' }} role="presentation"><div class="virtual-rows" style={{ transform: `translateY(${shift}px)` }} role={role === 'grid' ? 'rowgroup' : 'presentation'}>{rows}</div></div>
  </div>
}
