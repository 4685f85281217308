// The filter bar: coloured as one types, completes fields and values the server knows, points at the wrong character.

import { useEffect, useRef, useState } from 'preact/hooks'
import { api, type ApiError, type Scope } from '../lib/api'
import { fields, quote, tokens, wordAt } from '../lib/filter'
import { count } from '../lib/format'
import { Icon } from './icon'

interface Hint { insert: string; text: string; note: string; more?: boolean }

function fieldHints(word: string): Hint[] {
  const minus = word.startsWith('-') ? '-' : ''
  const start = word.slice(minus.length).toLowerCase()
  return fields.filter(f => f.name.startsWith(start)).map(f => {
    const insert = minus + f.name + (f.name.endsWith('.') ? '' : ':')
    return { insert, text: insert, note: f.about, more: true }
  })
}

// Of "-model:gp": the field and what was begun of its value.
function asked(word: string) {
  const [, minus, name, begun] = /^(-?)([\w.-]+):(.*)$/.exec(word) ?? []
  const field = fields.find(f => f.name === name)
  return field && { minus, field, begun: begun.replace(/^"/, '').toLowerCase() }
}

// The values of one field that the server has seen.
interface Seen { name: string; values: { value: string; count: number }[] }

function valueHints(word: string, seen: Seen | null): Hint[] {
  const of = asked(word)
  if (!of) return []
  const { minus, field, begun } = of
  const hint = (value: string, note: string, raw = false): Hint => ({ insert: `${minus}${field.name}:${raw ? value : quote(value)}`, text: value, note })
  if (field.values) return field.values.filter(v => v.startsWith(begun)).map(v => hint(v, '', true))
  if (seen?.name !== field.name) return []
  return seen.values.filter(v => v.value.toLowerCase().includes(begun)).slice(0, 12).map(v => hint(v.value, count(v.count)))
}

export function FilterBar({ value, onChange, error, scope, placeholder }:
  { value: string; onChange: (q: string) => void; error?: ApiError | null; scope: Scope; placeholder?: string }) {
  const [text, setText] = useState(value), [caret, setCaret] = useState(value.length), [scroll, setScroll] = useState(0)
  const [seen, setSeen] = useState<Seen | null>(null), [chosen, setChosen] = useState(-1), [open, setOpen] = useState(false)
  const input = useRef<HTMLInputElement>(null)
  useEffect(() => { setText(value); setCaret(value.length) }, [value])
  // Hints go with the text that is drawn, at once: a Tab that follows a letter closely must not take one of the text before.
  const { word } = wordAt(text, caret)
  const hints = !open || word.startsWith('"') ? [] : word.includes(':') ? valueHints(word, seen) : fieldHints(word)
  const field = open ? asked(word)?.field : undefined
  const wanted = field && !field.values && field.group && seen?.name !== field.name ? field : undefined
  useEffect(() => setSeen(null), [scope.from, scope.to])
  useEffect(() => {
    if (!wanted?.group) return
    const control = new AbortController(), keep = (values: Seen['values']) => setSeen({ name: wanted.name, values })
    api.facets({ from: scope.from, to: scope.to, fields: wanted.group, limit: 200 }, control.signal)
      .then(({ facets }) => keep(facets[0]?.values ?? []), () => { if (!control.signal.aborted) keep([]) })
    return () => control.abort()
  }, [wanted?.name, scope.from, scope.to])

  const submit = (q: string) => { setOpen(false); onChange(q.trim()) }
  const take = (hint: Hint) => {
    const { start } = wordAt(text, caret)
    const next = text.slice(0, start) + hint.insert + (hint.more ? '' : ' ') + text.slice(caret).trimStart()
    const at = start + hint.insert.length + (hint.more ? 0 : 1)
    setText(next)
    setCaret(at)
    setChosen(-1)
    if (!hint.more) submit(next)
    requestAnimationFrame(() => { input.current?.focus(); input.current?.setSelectionRange(at, at) })
  }
  const onKeyDown = (event: KeyboardEvent) => {
    const visible = open && hints.length > 0
    if ((event.key === 'ArrowDown' || event.key === 'ArrowUp') && visible) {
      setChosen((chosen + (event.key === 'ArrowDown' ? 1 : hints.length + (chosen < 0 ? 0 : -1))) % hints.length)
      event.preventDefault()
    } else if (event.key === 'Enter') {
      if (visible && chosen >= 0) take(hints[chosen])
      else submit(text)
      event.preventDefault()
    } else if (event.key === 'Tab' && visible && !event.shiftKey && word) {
      take(hints[Math.max(0, chosen)])
      event.preventDefault()
    } else if (event.key === 'Escape') {
      if (open && hints.length) setOpen(false)
      else input.current?.blur()
      event.stopPropagation()
    } else if (event.key.length === 1 || event.key === 'Backspace') setOpen(true)
  }
  const wrong = error && error.status === 400 && text.trim() === value.trim() && !open ? error : null
  return <div class="filter" role="search">
    <div class="box">
      <Icon name="search" />
      <div class="lane">
        <div class="ink" aria-hidden="true" style={{ transform: `translateX(${-scroll}px)` }}>{tokens(text).map(t => <span class={'tok-' + t.kind}>{t.text}</span>)}</div>
        <input ref={input} id="filter" value={text} placeholder={placeholder ?? 'Filter: model:gpt-4o status:error duration:>2s "free words"'} spellcheck={false} autocomplete="off" autocapitalize="off"
          role="combobox" aria-label="Filter" aria-expanded={open && hints.length > 0} aria-controls={open && hints.length > 0 ? 'filter-hints' : undefined} aria-autocomplete="list" aria-invalid={!!wrong}
          aria-activedescendant={chosen >= 0 ? 'hint-' + chosen : undefined} aria-describedby={wrong ? 'filter-wrong' : undefined}
          onInput={event => { setText(event.currentTarget.value); setCaret(event.currentTarget.selectionStart ?? text.length); setChosen(-1); setOpen(true) }} onScroll={event => setScroll(event.currentTarget.scrollLeft)}
          onKeyDown={onKeyDown} onKeyUp={event => { setScroll(event.currentTarget.scrollLeft); setCaret(event.currentTarget.selectionStart ?? text.length) }} onFocus={event => { setCaret(event.currentTarget.selectionStart ?? text.length); if (!wrong) setOpen(true) }} onBlur={() => setOpen(false)} />
      </div>
      {text && <button class="button ghost square small" type="button" aria-label="Clear the filter" title="Clear" onClick={() => { setText(''); submit('') }}><Icon name="close" /></button>}
    </div>
    {wrong && <div class="wrong" id="filter-wrong" role="alert">
      {wrong.column !== undefined && <div class="point" aria-hidden="true">{' '.repeat(Math.max(0, wrong.column - 1 - Math.round(scroll / 7.8)))}▲</div>}
      <div>{wrong.message}{wrong.hint && <span class="soft"> {wrong.hint}</span>}</div></div>}
    {open && hints.length > 0 && <ul class="hints" id="filter-hints" role="listbox" aria-label="Completions">
      {hints.map((hint, i) => <li key={hint.insert} id={'hint-' + i} role="option" aria-selected={i === chosen} onPointerDown={event => { event.preventDefault(); take(hint) }}><b>{hint.text}</b><span>{hint.note}</span></li>)}</ul>}
  </div>
}
