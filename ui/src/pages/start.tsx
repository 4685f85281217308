// The first minute: how to send the first trace, with the real address in the text, until it arrives and opens by itself.

import { useEffect, useState } from 'preact/hooks'
import { accessKey, api, openLive } from '../lib/api'
import { useLoad } from '../lib/data'
import { href, navigate, setParams, useRoute } from '../lib/router'
import { Copy, Tabs } from '../parts/basics'
import { Icon } from '../parts/icon'
import { Top } from '../parts/shell'
import { snippets, type SnippetName } from '../lib/snippets'
import type { ServerStatus } from '../lib/types'

/* Waits for the first trace that begins after now: by the live stream where it works, and by asking now and then. */
export function useFirstTrace(since: number): { id: string | null; live: boolean } {
  const [id, setId] = useState<string | null>(null), [live, setLive] = useState(false)
  useEffect(() => {
    let over = false
    const look = async () => {
      try {
        const { traces } = await api.traces({ from: since, to: 'now', limit: 1 })
        if (!over && traces[0]) setId(traces[0].trace_id)
      } catch { /* the notice above says what is wrong */ }
    }
    let socket: WebSocket | undefined
    try {
      socket = openLive('')
      socket.onopen = () => setLive(true)
      socket.onmessage = event => { // a span that ends now belongs to the trace that is waited for, whenever it began
        try {
          const { trace_id } = JSON.parse(String(event.data))
          if (trace_id && !over) setId(trace_id)
        } catch { /* not a span */ }
      }
      socket.onclose = () => setLive(false)
    } catch { /* asking is enough */ }
    look()
    const timer = setInterval(look, 2000)
    return () => { over = true; clearInterval(timer); socket?.close() }
  }, [since])
  return { id, live }
}

const tabs: [SnippetName, string][] = [['curl', 'curl'], ['c', 'C'], ['typescript', 'TypeScript'], ['python', 'Python'], ['convex', 'Convex'], ['proxy', 'Proxy'], ['logs', 'Log file']]

export function Start({ empty }: { empty: boolean }) {
  const { params } = useRoute()
  const status = useLoad('status|', signal => api.status(signal).catch((): ServerStatus => ({})))
  const upstreams = (status.data?.upstreams ?? []).map(u => typeof u === 'string' ? u.split('=')[0] : u.name ?? '').filter(Boolean)
  const offered = tabs.filter(([name]) => name !== 'proxy' || upstreams.length > 0)
  const tab = offered.find(t => t[0] === params.get('with'))?.[0] ?? 'curl'
  const [since] = useState(() => empty ? 0 : Date.now())
  const { id } = useFirstTrace(since)
  useEffect(() => {
    if (!id) return
    const timer = setTimeout(() => navigate(href('/traces/' + id)), 900)
    return () => clearTimeout(timer)
  }, [id])
  const parts = snippets(location.origin, accessKey(), upstreams)[tab]
  return <>
    <Top title={empty ? 'Welcome' : 'First trace'} />
    <main class="page start">
      <div class="startcard">
        <h2>{empty ? 'Nothing here yet. Send the first trace.' : 'Send a trace.'}</h2>
        <p class="soft">Vitrine listens at <code>{location.origin}</code>{status.data?.grpc && <> (gRPC at <code>{status.data.grpc}</code>)</>} and speaks OpenTelemetry, so whatever already sends traces can send them here. Pick what you have:</p>
        <Tabs label="Language" value={tab} onChange={next => setParams({ with: next === 'curl' ? null : next }, true)} tabs={offered} />
        <div class="snippets">{parts.map(part => <div key={part.title}><h3>{part.title}</h3><div class="code"><pre tabIndex={0} aria-label={part.title}>{part.text}</pre><Copy text={part.text} label="Copy" /></div></div>)}</div>
        <div class={'waiting' + (id ? ' here' : '')} role="status">{id ? <><Icon name="check" /><b>It is here.</b> Opening it…</> : <><span class="pulse" /><span>Waiting for {empty ? 'the first' : 'the next'} trace. This page opens it by itself.</span></>}</div>
        <p class="dim">Just looking? <code>vitrine demo</code> runs a small storefront with a few conversations and sends them here.</p>
      </div>
    </main>
  </>
}
