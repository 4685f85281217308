// Loading data into components: the last answer stays on the screen while the next one is fetched, so that nothing jumps.

import { useEffect, useReducer, useRef, useState } from 'preact/hooks'
import { ApiError } from './api'
import { readPref, writePref } from './prefs'

export interface Loaded<T> { data: T | undefined; error: ApiError | null; loading: boolean; slow: boolean; reload: () => void }

/* A tick that all loads follow: the refresh button and auto refresh. */
const tickListeners = new Set<() => void>()
let tick = 0
export function refreshAll() {
  tick++
  tickListeners.forEach(listener => listener())
}
export function useTick() {
  const [, again] = useReducer((n: number) => n + 1, 0)
  useEffect(() => {
    tickListeners.add(again as () => void)
    return () => { tickListeners.delete(again as () => void) }
  }, [])
  return tick
}

let timer: ReturnType<typeof setInterval> | undefined
export function autoRefreshSeconds(): number { return readPref('refresh', 0) }
export function setAutoRefresh(seconds: number) {
  writePref('refresh', seconds)
  clearInterval(timer)
  if (seconds > 0) timer = setInterval(() => { if (!document.hidden) refreshAll() }, seconds * 1000)
}

const cache = new Map<string, unknown>()
const CACHE_MAX = 60

/* Loads whenever `key` changes (null: not at all) or everything is refreshed. `data` is the previous answer meanwhile when
 * the part of the key before "|" is the same, else undefined. */
export function useLoad<T>(key: string | null, load: (signal: AbortSignal) => Promise<T>, options: { ticks?: boolean } = {}): Loaded<T> {
  const ticking = useTick()
  const ticks = options.ticks === false ? 0 : ticking
  const [state, setState] = useState<{ key: string | null; data?: T; error: ApiError | null; loading: boolean; slow: boolean }>(
    () => ({ key, data: key === null ? undefined : cache.get(key) as T | undefined, error: null, loading: key !== null, slow: false }))
  const [again, reload] = useReducer((n: number) => n + 1, 0)
  const loader = useRef(load)
  loader.current = load
  useEffect(() => {
    if (key === null) return
    const control = new AbortController()
    const slow = setTimeout(() => setState(s => ({ ...s, slow: true })), 3000)
    setState(s => {
      const known = cache.get(key) as T | undefined
      const kept = s.key !== null && s.key.split('|')[0] === key.split('|')[0] ? s.data : undefined
      return { key, data: known ?? kept, error: known ?? kept ? null : s.error && s.key === key ? s.error : null, loading: true, slow: false }
    })
    loader.current(control.signal).then(data => {
      cache.delete(key)
      cache.set(key, data)
      if (cache.size > CACHE_MAX) cache.delete(cache.keys().next().value as string)
      setState({ key, data, error: null, loading: false, slow: false })
    }, e => {
      if (control.signal.aborted) return
      const error = e instanceof ApiError ? e : new ApiError(-1, 'page', String(e?.message ?? e))
      setState(s => ({ key, data: error.gone ? s.data : undefined, error, loading: false, slow: false }))
    }).finally(() => clearTimeout(slow))
    return () => { control.abort(); clearTimeout(slow) }
  }, [key, ticks, again])
  const stale = state.key !== key && state.key?.split('|')[0] !== key?.split('|')[0]
  return stale
    ? { data: key === null ? undefined : cache.get(key) as T | undefined, error: null, loading: key !== null, slow: false, reload: reload as () => void }
    : { data: state.data, error: state.error, loading: state.loading, slow: state.slow, reload: reload as () => void }
}

/* A list that comes page after page. A new `what` (by identity) or a refresh begins again; the old rows stay until the new ones are there. */
export function usePages<T>(what: unknown, fetchPage: (cursor: string | undefined, signal: AbortSignal) => Promise<{ rows: T[]; next?: string; elapsed_ms?: number }>) {
  const [state, setState] = useState<{ rows: T[]; next?: string; error: ApiError | null; loading: boolean; elapsed?: number; done: boolean; slow: boolean; stale: boolean }>({ rows: [], error: null, loading: true, done: false, slow: false, stale: false })
  const busy = useRef<AbortController | null>(null)
  const load = (cursor?: string) => {
    busy.current?.abort()
    const control = busy.current = new AbortController()
    const slow = setTimeout(() => setState(s => ({ ...s, slow: true })), 3000)
    setState(s => ({ ...s, loading: true, error: null, slow: false, stale: cursor === undefined }))
    fetchPage(cursor, control.signal).then(page => {
      setState(s => ({ rows: cursor ? s.rows.concat(page.rows) : page.rows, next: page.next, error: null, loading: false, elapsed: page.elapsed_ms, done: !page.next, slow: false, stale: false }))
      busy.current = null
    }, e => {
      if (control.signal.aborted) return
      const error = e instanceof ApiError ? e : new ApiError(-1, 'page', String(e))
      setState(s => ({ ...s, rows: cursor || error.gone || error.status === 400 ? s.rows : [], loading: false, error, slow: false, stale: false }))
      busy.current = null
    }).finally(() => clearTimeout(slow))
  }
  useEffect(() => { load(); return () => busy.current?.abort() }, [what])
  return { ...state, more: () => { if (!busy.current && state.next && !state.error) load(state.next) }, reload: () => load() }
}

/* After the server came back, loads that failed try again. */
export function forget() { cache.clear() }
