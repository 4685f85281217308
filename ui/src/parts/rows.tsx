// A list of rows in columns that goes on as far as one scrolls, moved through by keys: traces, conversations.

import type { ComponentChildren } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import type { ApiError } from '../lib/api'
import type { usePages } from '../lib/data'
import { count, duration } from '../lib/format'
import { isTyping } from '../lib/keys'
import { Empty, Failure, Ghost } from './basics'
import { Virtual } from './virtual'

const ROW = 34
const narrowQuery = matchMedia('(max-width: 760px)')

export interface ListColumn<T> { key: string; name: string; width: string; num?: boolean; phone?: string; cell: (row: T) => ComponentChildren }

/* Whether the window is a phone's. */
export function useNarrow() {
  const [narrow, setNarrow] = useState(narrowQuery.matches)
  useEffect(() => {
    const listener = () => setNarrow(narrowQuery.matches)
    narrowQuery.addEventListener('change', listener)
    return () => narrowQuery.removeEventListener('change', listener)
  }, [])
  return narrow
}

export function Rows<T>({ list, columns, label, noun, scope, status, open, none, filterError, onOpen }:
  { list: ReturnType<typeof usePages<T>>; columns: ListColumn<T>[]; label: string; noun: string; scope: unknown; status: (row: T) => ComponentChildren; open: (row: T) => string
    none: ComponentChildren; filterError: ApiError | null; onOpen: (address: string) => void }) {
  const [at, show] = useState(-1)
  const now = useRef(-1) // keys may come faster than the screen is drawn
  const setAt = (next: number) => { now.current = next; show(next) }
  const narrow = useNarrow()
  // a phone shows the few columns that have a width for it
  const shown = narrow ? columns.filter(c => c.phone) : columns
  const grid = '14px ' + shown.map(c => narrow ? c.phone : c.width).join(' ')
  useEffect(() => setAt(-1), [scope])
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (isTyping(event)) return
      if (event.key === 'j') setAt(Math.min(list.rows.length - 1, now.current + 1))
      else if (event.key === 'k') setAt(Math.max(0, now.current - 1))
      else if (event.key === 'Enter' && list.rows[now.current] && !(event.target as HTMLElement).closest('a,button')) onOpen(open(list.rows[now.current]))
      else return
      event.preventDefault()
    }
    addEventListener('keydown', onKey)
    return () => removeEventListener('keydown', onKey)
  })
  const row = (i: number) => {
    const r = list.rows[i]
    return <div key={i} class={'trow' + (i === at ? ' at' : '')} role="row" aria-rowindex={i + 1} aria-selected={i === at} style={{ gridTemplateColumns: grid, height: ROW + 'px' }}
      onClick={event => { if (!(event.target as Element).closest('a,button') && !String(getSelection())) onOpen(open(r)) }}>
      <span role="gridcell">{status(r)}</span>
      {shown.map(c => <span key={c.key} role="gridcell" class={'cut' + (c.num ? ' num' : '')}>{c.cell(r)}</span>)}</div>
  }
  const header = <div class="thead" role="rowgroup"><div class="trow head" role="row" style={{ gridTemplateColumns: grid }}><span role="columnheader"><span class="sr">Status</span></span>
    {shown.map(c => <span role="columnheader" key={c.key} class={c.num ? 'num' : ''}>{c.name}</span>)}</div></div>
  if (list.rows.length > 0) return <div class={'list' + (list.stale ? ' stale' : '')}>
    <Virtual count={list.rows.length} rowHeight={ROW} row={row} role="grid" label={label} onEnd={list.more} reveal={at} className="rows" header={header} />
    <footer class="foot dim"><span>{count(list.rows.length)}{list.done ? '' : '+'} {list.done && list.rows.length === 1 ? noun.replace(/s$/, '') : noun}</span>{list.elapsed !== undefined && <span>answered in {duration(list.elapsed)}</span>}
      {list.loading && <span>{list.slow ? 'still working…' : 'loading…'}</span>}{list.error && !filterError && <span class="bad">{list.error.message}</span>}</footer>
  </div>
  if (list.error && !filterError) return <Failure error={list.error} retry={list.reload} />
  if (list.loading) return <div aria-busy="true"><Ghost lines={14} />{list.slow && <p class="dim pad">Still working… a narrower time range answers sooner.</p>}</div>
  if (filterError) return <Empty icon="filter" title="The filter has a mistake">Mend it above; the message points at the place.</Empty>
  return <>{none}</>
}
