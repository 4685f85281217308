// The SQL editor: coloured as one types, completes tables, columns and functions, underlines the line of a mistake.

import { useEffect, useMemo, useRef, useState } from 'preact/hooks'
import type { ApiError } from '../lib/api'
import { completions, pieces, wordBefore } from '../lib/sql'

export function SqlEditor({ value, onInput, onRun, columns, error }: { value: string; onInput: (sql: string) => void; onRun: (sql: string) => void; columns: string[]; error: ApiError | null }) {
  const area = useRef<HTMLTextAreaElement>(null), ink = useRef<HTMLDivElement>(null)
  const [word, setWord] = useState(''), [chosen, setChosen] = useState(0)
  const hints = useMemo(() => completions(word, columns), [word, columns])
  const rows = Math.max(5, Math.min(18, value.split('\n').length + 1))
  useEffect(() => setChosen(0), [word])
  const scroll = () => { if (ink.current && area.current) ink.current.style.transform = `translate(${-area.current.scrollLeft}px, ${-area.current.scrollTop}px)` }
  const put = (start: number, end: number, text: string) => {
    const next = value.slice(0, start) + text + value.slice(end)
    onInput(next)
    requestAnimationFrame(() => area.current?.setSelectionRange(start + text.length, start + text.length))
  }
  const take = (text: string) => {
    const caret = area.current!.selectionStart, last = wordBefore(value, caret).replace(/^.*\./, '')
    put(caret - last.length, caret, text)
    setWord('')
    area.current!.focus()
  }
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) { setWord(''); onRun(value) }
    else if (hints.length && (event.key === 'ArrowDown' || event.key === 'ArrowUp')) setChosen((chosen + (event.key === 'ArrowDown' ? 1 : hints.length - 1)) % hints.length)
    else if (hints.length && (event.key === 'Tab' || event.key === 'Enter') && !event.shiftKey) take(hints[chosen].text)
    else if (event.key === 'Escape') { if (hints.length) setWord(''); else area.current!.blur() }
    else return
    event.preventDefault()
    event.stopPropagation()
  }
  const wrong = error?.column !== undefined ? error.column - 1 : -1
  return <div class={'sqledit' + (error ? ' wrong' : '')}>
    <div class="paper" style={{ height: rows * 20 + 20 + 'px' }}>
      <div class="ink" ref={ink} aria-hidden="true">{wrong >= 0 ? <><Ink sql={value.slice(0, wrong)} /><u class="mistake"><Ink sql={value.slice(wrong).match(/^\s*\S+/)?.[0] ?? ' '} /></u><Ink sql={value.slice(wrong + (value.slice(wrong).match(/^\s*\S+/)?.[0] ?? '').length)} /></> : <Ink sql={value} />}{'\n'}</div>
      <textarea id="filter" ref={area} value={value} spellcheck={false} autocomplete="off" autocapitalize="off" wrap="off" aria-label="SQL statement" aria-controls={hints.length ? 'sql-hints' : undefined} aria-describedby={error ? 'sql-wrong' : undefined} aria-invalid={!!error}
        onInput={event => { onInput(event.currentTarget.value); setWord(wordBefore(event.currentTarget.value, event.currentTarget.selectionStart)) }} onScroll={scroll} onKeyDown={onKeyDown} onBlur={() => setWord('')} onClick={() => setWord('')} />
    </div>
    {hints.length > 0 && <ul class="sqlhints" id="sql-hints" role="listbox" aria-label="Completions">{hints.map((hint, i) => <li key={hint.note + hint.text} role="option" aria-selected={i === chosen} onPointerDown={event => { event.preventDefault(); take(hint.text) }}><b>{hint.text}</b><span>{hint.note}</span></li>)}</ul>}
    {error && <p class="bad" id="sql-wrong" role="alert">{error.message}{error.hint && <span class="soft"> {error.hint}</span>}</p>}
  </div>
}

function Ink({ sql }: { sql: string }) { return <>{pieces(sql).map(piece => piece.kind ? <span class={'sql-' + piece.kind}>{piece.text}</span> : piece.text)}</> }
