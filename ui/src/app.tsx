// Which page is shown, and the questions that concern all of them: is the store empty, does something alert.

import { useEffect, useState } from 'preact/hooks'
import { api, firstAnswer } from './lib/api'
import { useLoad } from './lib/data'
import { href, useRoute } from './lib/router'
import { Empty, Toasts } from './parts/basics'
import { Shell, Top, pages } from './parts/shell'
import { Alerts, worst } from './pages/alerts'
import { Live } from './pages/live'
import { Models } from './pages/models'
import { Overview } from './pages/overview'
import { Services } from './pages/services'
import { Settings } from './pages/settings'
import { Sql } from './pages/sql'
import { Start } from './pages/start'
import { Thread } from './pages/thread'
import { Threads } from './pages/threads'
import { Trace } from './pages/trace'
import { Traces } from './pages/traces'
import { Users } from './pages/users'

function Lost() {
  return <><Top title="Not here" /><main class="page"><Empty icon="search" title="There is no such page">The address may be mistyped. <a href={href('/')}>To the overview</a></Empty></main></>
}

/* Whether there is any span at all; asked once, and again only while there is none. */
function useEmpty(ready: boolean): boolean | undefined {
  const load = useLoad(ready ? 'any|' : null, signal => api.traces({ from: 0, to: 'now', limit: 1 }, signal), { ticks: false })
  return load.data ? load.data.traces.length === 0 : load.error ? false : undefined
}

export function App() {
  const { segments } = useRoute()
  const [ready, setReady] = useState(false) // what the page is about comes first
  useEffect(() => { firstAnswer.then(() => setReady(true)) }, [])
  const empty = useEmpty(ready)
  const alerts = useLoad(ready ? 'firing|' : null, signal => api.alerts(signal).then(({ monitors }) => monitors.filter(m => worst(m) === 'ALERT').length, () => 0))
  const firing = alerts.data ?? 0
  const [first, second] = segments
  useEffect(() => {
    const page = pages.find(p => p.path === '/' + (first ?? ''))
    if (!second) document.title = page ? `${page.name} · Vitrine` : 'Vitrine'
  }, [first, second])
  const page = () => {
    switch (first) {
      case undefined: return empty ? <Start empty /> : <Overview />
      case 'traces': return second ? <Trace key={second} /> : <Traces />
      case 'threads': return second ? <Thread key={second} /> : <Threads />
      case 'users': return <Users />
      case 'live': return <Live />
      case 'models': return <Models />
      case 'services': return <Services />
      case 'alerts': return <Alerts />
      case 'sql': return <Sql />
      case 'settings': return <Settings />
      case 'start': return <Start empty={empty === true} />
      default: return <Lost />
    }
  }
  return <><Shell alerts={firing}>{page()}</Shell><Toasts /></>
}
