// A script of its own, a few hundred bytes, that asks for what the page will show first while the page itself is still
// loading. lib/early.ts takes the answer; where it does not fit what is asked then, it is simply left.

import { readPref } from './lib/prefs'
import { rangeOf, resolve, stepFor } from './lib/time'
import { FIRST_THREADS, FIRST_TRACES, FIRST_USERS, urls } from './lib/urls'

function firstUrl(now: number): string | null {
  const params = new URLSearchParams(location.search), span = resolve(rangeOf(params), now)
  const scope = { from: span.from, to: span.to, q: params.get('q') ?? '' }
  const [first, second] = location.pathname.split('/').filter(Boolean).map(decodeURIComponent)
  switch (first) {
    case undefined: case 'models': return urls.overview({ ...scope, interval: stepFor(span).text, lines: 1 })
    case 'traces': return second ? urls.trace(second) : urls.traces({ ...scope, limit: FIRST_TRACES })
    case 'threads': return second ? urls.thread(second) : urls.threads({ ...scope, sort: params.get('sort') ?? 'last', limit: FIRST_THREADS })
    case 'users': return urls.users({ ...scope, sort: params.get('sort') ?? 'cost', limit: FIRST_USERS })
    case 'services': return urls.services(scope)
    default: return null
  }
}

try {
  const now = Date.now(), url = globalThis.vitrineStarted ? null : firstUrl(now), key = readPref('key', '')
  if (url) {
    const headers: Record<string, string> = { accept: 'application/json' }
    if (key) headers.authorization = `Bearer ${key}`
    const response = fetch(url, { headers })
    response.catch(() => {}) // said by whoever takes it
    globalThis.vitrineEarly = { now, url, response }
  }
} catch { /* an address that makes no sense: the page says so */ }
