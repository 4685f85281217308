// Addresses of the page: path and parameters of the URL are the whole state that can be shared.

import { useEffect, useReducer } from 'preact/hooks'

export interface Route { path: string; segments: string[]; params: URLSearchParams }
type Params = Record<string, string | number | null | undefined>

const listeners = new Set<() => void>()

function read(): Route {
  const segments = location.pathname.split('/').filter(Boolean).map(segment => {
    try { return decodeURIComponent(segment) } catch { return segment }
  })
  return { path: location.pathname, segments, params: new URLSearchParams(location.search) }
}

let current = read()

function changed() {
  current = read()
  listeners.forEach(listener => listener())
}
addEventListener('popstate', changed)

export function currentRoute() { return current }

export function useRoute(): Route {
  const [, again] = useReducer((n: number) => n + 1, 0)
  useEffect(() => {
    listeners.add(again as () => void)
    return () => { listeners.delete(again as () => void) }
  }, [])
  return current
}

/* The address of a page; the time range in force goes with it. Null or "" leaves a parameter out. */
export function href(path: string, params: Params = {}): string {
  const out = new URLSearchParams()
  for (const name of ['from', 'to']) {
    const value = current.params.get(name)
    if (value && !(name in params)) out.set(name, value)
  }
  for (const [name, value] of Object.entries(params)) if (value !== null && value !== undefined && value !== '') out.set(name, String(value))
  const text = out.toString().replace(/%3A/g, ':').replace(/%2C/g, ',').replace(/%2F/g, '/')
  return path + (text ? '?' + text : '')
}

export function navigate(to: string, replace = false) {
  if (to === location.pathname + location.search) return
  history[replace ? 'replaceState' : 'pushState'](null, '', to)
  if (!replace) scrollTo(0, 0)
  changed()
}

/* Changes parameters of the page that is shown. */
export function setParams(changes: Params, replace = false) {
  const params: Params = Object.fromEntries(current.params)
  navigate(href(current.path, { ...params, ...changes }), replace)
}

/* Links stay real links (middle click, copy); plain clicks are handled here. */
export function onLinkClick(event: MouseEvent) {
  if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return
  const link = (event.target as Element).closest?.('a[href]') as HTMLAnchorElement | null
  if (!link || link.target || link.hasAttribute('download') || link.origin !== location.origin) return
  event.preventDefault()
  navigate(link.pathname + link.search)
}
