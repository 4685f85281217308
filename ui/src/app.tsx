// Which page is shown, and the questions that concern all of them: is the store empty, does something alert.

import { useEffect } from 'preact/hooks'
import { request, api } from './lib/api'
import { useLoad } from './lib/data'
import { href, useRoute } from './lib/router'
import { Empty, Toasts } from './parts/basics'
import { Shell, Top, pages } from './parts/shell'
import { Overview } from './pages/overview'
import { Start } from './pages/start'
import { Trace } from './pages/trace'
import { Traces } from './pages/traces'

function Lost() {
  return <><Top title="Not here" /><main class="page"><Empty icon="search" title="There is no such page">The address may be mistyped. <a href={href('/')}>To the overview</a></Empty></main></>
}

/* Whether there is any span at all; asked once, and again only while there is none. */
function useEmpty(): boolean | undefined {
  const load = useLoad('any|', signal => api.traces({ from: 0, to: 'now', limit: 1 }, signal), { ticks: false })
  return load.data ? load.data.traces.length === 0 : load.error ? false : undefined
}

export function App() {
  const { segments } = useRoute()
  const empty = useEmpty()
  const alerts = useLoad('alertcount|', signal => request<{ monitors?: { state?: string }[] }>('/api/v1/alerts', { signal }).catch(() => ({ monitors: [] })))
  const firing = alerts.data?.monitors?.filter?.(m => m.state === 'ALERT').length ?? 0
  const [first, second] = segments
  useEffect(() => {
    const page = pages.find(p => p.path === '/' + (first ?? ''))
    if (!second) document.title = page ? `${page.name} · Vitrine` : 'Vitrine'
  }, [first, second])
  const page = () => {
    switch (first) {
      case undefined: return empty ? <Start empty /> : <Overview />
      case 'traces': return second ? <Trace key={second} /> : <Traces />
      case 'start': return <Start empty={empty === true} />
      default: return <Lost />
    }
  }
  return <><Shell alerts={firing}>{page()}</Shell><Toasts /></>
}
