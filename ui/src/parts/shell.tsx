// What stands around every page: rail, top bar, range picker, key help, command palette, and the notices of trouble.

import type { ComponentChildren } from 'preact'
import { useEffect, useMemo, useRef, useState } from 'preact/hooks'
import { type ApiError, onTrouble, setAccessKey } from '../lib/api'
import { autoRefreshSeconds, forget, refreshAll, setAutoRefresh } from '../lib/data'
import { readPref, writePref } from '../lib/prefs'
import { href, navigate, setParams, useRoute } from '../lib/router'
import { describe, presets, rangeOf, resolve } from '../lib/time'
import { Dialog, Popover } from './basics'
import { themeChanged } from './chart'
import { Icon, type IconName, Logo } from './icon'

export const pages: { path: string; name: string; icon: IconName; key: string; gap?: boolean }[] = [
  { path: '/', name: 'Overview', icon: 'overview', key: 'o' }, { path: '/traces', name: 'Traces', icon: 'traces', key: 't' },
  { path: '/threads', name: 'Threads', icon: 'threads', key: 'c' }, { path: '/users', name: 'Users', icon: 'users', key: 'u' },
  { path: '/live', name: 'Live', icon: 'live', key: 'l' },
  { path: '/models', name: 'Models & cost', icon: 'models', key: 'm', gap: true }, { path: '/services', name: 'Services', icon: 'services', key: 'v' },
  { path: '/alerts', name: 'Alerts', icon: 'alerts', key: 'a' },
  { path: '/sql', name: 'SQL', icon: 'sql', key: 's' }, { path: '/settings', name: 'Settings', icon: 'settings', key: 'e', gap: true },
  { path: '/start', name: 'First trace', icon: 'start', key: 'f' },
]

const themes = ['system', 'light', 'dark'] as const
export type Theme = typeof themes[number]
export function theme(): Theme { return readPref<Theme>('theme', 'system') }
export function setTheme(next: Theme) {
  writePref('theme', next)
  applyTheme()
  themeChanged()
}
export function applyTheme() {
  const chosen = theme()
  if (chosen === 'system') delete document.documentElement.dataset.theme
  else document.documentElement.dataset.theme = chosen
}

function isDark() { return theme() === 'dark' || (theme() === 'system' && matchMedia('(prefers-color-scheme: dark)').matches) }

function ThemeButton() {
  const [dark, setDark] = useState(isDark())
  return <button class="button ghost square" title="Light or dark" aria-label="Switch between light and dark" onClick={() => { setTheme(dark ? 'light' : 'dark'); setDark(!dark) }}><Icon name={dark ? 'sun' : 'moon'} /></button>
}

function Rail({ alerts, onHelp }: { alerts: number; onHelp: () => void }) {
  const { segments } = useRoute()
  const here = '/' + (segments[0] ?? '')
  const nav = useRef<HTMLElement>(null)
  useEffect(() => { // a phone's rail is narrower than its pages are many
    const current = nav.current!.querySelector<HTMLElement>('[aria-current]')
    if (current && nav.current!.scrollWidth > nav.current!.clientWidth) nav.current!.scrollLeft = current.offsetLeft - nav.current!.clientWidth / 2 + current.offsetWidth / 2
  }, [here])
  return <aside class="rail">
    <a class="brand" href={href('/')} aria-label="Vitrine, to the overview"><Logo /><span>Vitrine</span></a>
    <nav class="nav" aria-label="Pages" ref={nav}>
      {pages.flatMap(page => [page.gap && <div class="gap" key={page.path + 'gap'} />,
        <a key={page.path} href={href(page.path)} aria-current={here === page.path ? 'page' : undefined} title={`${page.name} (g ${page.key})`}><Icon name={page.icon} /><span>{page.name}</span>
          {page.path === '/alerts' && alerts > 0 && <span class="badge" aria-label={`${alerts} alerting`}>{alerts}</span>}</a>])}
    </nav>
    <div class="foot"><ThemeButton /><button class="button ghost square" title="Keys (?)" aria-label="Show the keyboard shortcuts" onClick={onHelp}><Icon name="help" /></button></div>
  </aside>
}

const local = (ms: number) => {
  const d = new Date(ms - new Date(ms).getTimezoneOffset() * 60_000)
  return d.toISOString().slice(0, 16)
}

export function RangePicker() {
  const { params } = useRoute()
  const range = rangeOf(params), span = resolve(range)
  const shift = (direction: number) => {
    const width = span.to - span.from
    setParams({ from: Math.round(span.from + direction * width / 2), to: Math.min(Date.now(), Math.round(span.to + direction * width / 2)), cursor: null })
  }
  return <div class="group">
    <button class="button square wide-only" title="Earlier" aria-label="Earlier" onClick={() => shift(-1)}><Icon name="left" /></button>
    <Popover title="Time range" label={<><Icon name="clock" /><span class="cut">{describe(range)}</span><Icon name="caret" className="caret" /></>}>{close => <>
      {presets.map(([from, name]) => <button class="item" role="menuitemradio" aria-checked={range.from === from && range.to === 'now'} onClick={() => { setParams({ from: from === '-24h' ? null : from, to: null }); close() }}>{name}</button>)}
      <hr />
      <form onSubmit={event => {
        event.preventDefault()
        const data = new FormData(event.currentTarget)
        const from = Date.parse(String(data.get('from'))), to = Date.parse(String(data.get('to')))
        if (from < to) { setParams({ from, to }); close() }
      }}>
        <label class="field"><span>From</span><input class="input" type="datetime-local" name="from" defaultValue={local(span.from)} required /></label>
        <label class="field"><span>To</span><input class="input" type="datetime-local" name="to" defaultValue={local(span.to)} required /></label>
        <button class="button primary">Apply</button>
      </form></>}</Popover>
    <button class="button square wide-only" title="Later" aria-label="Later" disabled={range.to === 'now'} onClick={() => shift(1)}><Icon name="right" /></button>
  </div>
}

export function Refresh() {
  const [every, setEvery] = useState(autoRefreshSeconds())
  useEffect(() => setAutoRefresh(every), [every])
  const choices: [number, string][] = [[0, 'Off'], [5, '5 s'], [15, '15 s'], [60, '1 min']]
  return <div class="group">
    <button class="button square" title="Refresh (r)" aria-label="Refresh" onClick={refreshAll}><Icon name="refresh" /></button>
    <Popover title="Refresh by itself" className="wide-only" label={<>{every ? choices.find(c => c[0] === every)?.[1] ?? `${every} s` : 'Auto'}<Icon name="caret" className="caret" /></>} pressed={every > 0}>{close =>
      choices.map(([seconds, name]) => <button class="item" role="menuitemradio" aria-checked={every === seconds} onClick={() => { setEvery(seconds); close() }}>{name}</button>)}</Popover>
  </div>
}

export function Top({ title, loading, children }: { title: ComponentChildren; loading?: boolean; children?: ComponentChildren }) {
  return <header class="top">{typeof title === 'string' ? <h1>{title}</h1> : title}<div class="push row">{children}</div><div class={'progress' + (loading ? ' on' : '')} role="presentation" /></header>
}

const keyHelp: [string, string[]][] = [
  ['Go to a page', ['g', 'then', 'o t c u l m a s']], ['Commands and pages', ['Ctrl', 'K']], ['To the filter', ['/']], ['Refresh', ['r']], ['Next, previous row', ['j', 'k']],
  ['Open the row', ['Enter']], ['Back, close', ['Esc']], ['Fold, unfold a span', ['←', '→']], ['Next error in a trace', ['e']], ['Pause live', ['p']], ['Light or dark', ['d']], ['Run SQL', ['Ctrl', 'Enter']], ['This help', ['?']],
]
function Help({ onClose }: { onClose: () => void }) {
  return <Dialog title="Keys" onClose={onClose}><div class="body keys">{keyHelp.map(([name, keys]) => <div><span>{name}</span><span class="row">{keys.map(k => k === 'then' ? <span class="dim">{k}</span> : <kbd>{k}</kbd>)}</span></div>)}</div></Dialog>
}

function Palette({ onClose }: { onClose: () => void }) {
  const [text, setText] = useState(''), [at, setAt] = useState(0)
  const items = useMemo(() => {
    const words = text.trim().toLowerCase()
    const out: { name: string; note: string; icon: IconName; go: () => void }[] = []
    const id = text.trim()
    if (/^[0-9a-f]{32}$/i.test(id) || (/^[0-9a-z]{15,}$/i.test(id) && /\d/.test(id))) out.push({ name: `Open trace ${id}`, note: 'trace', icon: 'traces', go: () => navigate(href('/traces/' + id)) })
    for (const page of pages) if (page.name.toLowerCase().includes(words)) out.push({ name: page.name, note: `g ${page.key}`, icon: page.icon, go: () => navigate(href(page.path)) })
    for (const [from, name] of presets) if (words && name.toLowerCase().includes(words)) out.push({ name, note: 'time range', icon: 'clock', go: () => setParams({ from, to: null }) })
    const quick: [string, string][] = [['Failed traces', 'status:error'], ['Slow traces', 'duration:>5s'], ['Fallbacks', 'fallback:true']]
    for (const [name, q] of quick) if (name.toLowerCase().includes(words)) out.push({ name, note: q, icon: 'filter', go: () => navigate(href('/traces', { q })) })
    if ('switch light dark theme'.includes(words)) out.push({ name: 'Switch light and dark', note: 'd', icon: 'moon', go: () => setTheme(isDark() ? 'light' : 'dark') })
    if (id) out.push({ name: `Search traces for “${id}”`, note: 'filter', icon: 'search', go: () => navigate(href('/traces', { q: /[:"]/.test(id) ? id : `"${id}"` })) })
    return out.slice(0, 12)
  }, [text])
  const run = (i: number) => { onClose(); items[i]?.go() }
  return <Dialog onClose={onClose} className="palette">
    <input aria-label="Command" placeholder="Page, trace id, or words to search for" value={text} spellcheck={false} role="combobox" aria-expanded="true" aria-controls="palette" aria-activedescendant={'cmd-' + at}
      onInput={event => { setText(event.currentTarget.value); setAt(0) }}
      onKeyDown={event => {
        if (event.key === 'ArrowDown') setAt((at + 1) % items.length)
        else if (event.key === 'ArrowUp') setAt((at + items.length - 1) % items.length)
        else if (event.key === 'Enter') run(at)
        else return
        event.preventDefault()
      }} />
    <ul id="palette" role="listbox" aria-label="Commands">{items.map((item, i) => <li id={'cmd-' + i} role="option" aria-selected={i === at} onPointerMove={() => setAt(i)} onClick={() => run(i)}><Icon name={item.icon} />{item.name}<span class="dim">{item.note}</span></li>)}</ul>
  </Dialog>
}

export function KeyForm({ error }: { error: ApiError }) {
  const field = useRef<HTMLInputElement>(null)
  return <form class="card login" onSubmit={event => {
    event.preventDefault()
    setAccessKey(field.current!.value.trim())
    forget()
    refreshAll()
  }}>
    <Logo /><h1>This Vitrine asks for a key</h1>
    <p class="soft">{readPref('key', '') ? 'The key was not accepted. ' : ''}{error.hint ?? error.message}</p>
    <label class="field"><span>Key</span><input class="input" ref={field} type="password" name="key" autocomplete="current-password" required autoFocus /></label>
    <button class="button primary">Open</button>
    <p class="dim">Make one with <code>vitrine keys add NAME</code>. It stays in this browser.</p>
  </form>
}

function useKeys(open: { help: () => void; palette: () => void }) {
  useEffect(() => {
    let wentG = 0
    const onKey = (event: KeyboardEvent) => {
      const target = event.target as HTMLElement
      const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName) || target.isContentEditable
      if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === 'k') { event.preventDefault(); open.palette(); return }
      if (typing || event.ctrlKey || event.metaKey || event.altKey || document.querySelector('.scrim')) return
      if (Date.now() - wentG < 1200) {
        wentG = 0
        const page = pages.find(p => p.key === event.key)
        if (page) { event.preventDefault(); navigate(href(page.path)); return }
      }
      if (event.key === 'g') wentG = Date.now()
      else if (event.key === '?') open.help()
      else if (event.key === 'r') refreshAll()
      else if (event.key === 'd') setTheme(isDark() ? 'light' : 'dark')
      else if (event.key === '/') {
        const filter = document.getElementById('filter')
        if (filter) { event.preventDefault(); filter.focus() } else navigate(href('/traces'))
      }
    }
    addEventListener('keydown', onKey)
    return () => removeEventListener('keydown', onKey)
  }, [])
}

export function Shell({ alerts, children }: { alerts: number; children: ComponentChildren }) {
  const [trouble, setTrouble] = useState<ApiError | null>(null)
  const [dialog, setDialog] = useState<'help' | 'palette' | null>(null)
  useKeys({ help: () => setDialog('help'), palette: () => setDialog('palette') })
  useEffect(() => onTrouble(setTrouble), [])
  useEffect(() => {
    if (!trouble?.gone) return
    const timer = setInterval(refreshAll, 3000)
    return () => clearInterval(timer)
  }, [trouble])
  return <div class="shell">
    <Rail alerts={alerts} onHelp={() => setDialog('help')} />
    <div class="main">
      {trouble?.gone && <div class="trouble" role="alert"><Icon name="alert" />The server does not answer.<span class="dim wide-only">What you see is from before. Trying again every 3 seconds.</span></div>}
      {trouble?.denied ? <main class="page center"><KeyForm error={trouble} /></main> : children}
    </div>
    {dialog === 'help' && <Help onClose={() => setDialog(null)} />}
    {dialog === 'palette' && <Palette onClose={() => setDialog(null)} />}
  </div>
}
