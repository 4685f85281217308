// The first minute: how to send the first trace, with the real address in the text, until it arrives and opens by itself.

import { useEffect, useState } from 'preact/hooks'
import { accessKey, api, openLive } from '../lib/api'
import { href, navigate } from '../lib/router'
import { Copy, Tabs } from '../parts/basics'
import { Icon } from '../parts/icon'
import { Top } from '../parts/shell'
import { snippets, type SnippetName } from '../lib/snippets'

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
      socket.onmessage = () => setTimeout(look, 300)
      socket.onclose = () => setLive(false)
    } catch { /* asking is enough */ }
    look()
    const timer = setInterval(look, 2000)
    return () => { over = true; clearInterval(timer); socket?.close() }
  }, [since])
  return { id, live }
}

const tabs: [SnippetName, string][] = [['curl', 'curl'], ['c', 'C'], ['typescript', 'TypeScript'], ['convex', 'Convex'], ['proxy', 'Proxy'], ['logs', 'Log file']]

export function Start({ empty }: { empty: boolean }) {
  const [tab, setTab] = useState<SnippetName>('curl')
  const [since] = useState(() => empty ? 0 : Date.now())
  const { id } = useFirstTrace(since)
  useEffect(() => {
    if (!id) return
    const timer = setTimeout(() => navigate(href('/traces/' + id)), 900)
    return () => clearTimeout(timer)
  }, [id])
  const parts = snippets(location.origin, accessKey())[tab]
  return <>
    <Top title={empty ? 'Welcome' : 'First trace'} />
    <main class="page start">
      <div class="startcard">
        <h2>{empty ? 'Nothing here yet. Send the first trace.' : 'Send a trace.'}</h2>
        <p class="soft">Vitrine listens at <code>{location.origin}</code> and speaks OpenTelemetry, so whatever already sends traces can send them here. Pick what you have:</p>
        <Tabs label="Language" value={tab} onChange={setTab} tabs={tabs} />
        <div class="snippets">{parts.map(part => <div key={part.title}><h3>{part.title}</h3><div class="code"><pre tabIndex={0} aria-label={part.title}>{part.text}</pre><Copy text={part.text} label="Copy" /></div></div>)}</div>
        <div class={'waiting' + (id ? ' here' : '')} role="status">{id ? <><Icon name="check" /><b>It is here.</b> Opening it…</> : <><span class="pulse" /><span>Waiting for {empty ? 'the first' : 'the next'} trace. This page opens it by itself.</span></>}</div>
        <p class="dim">Just looking? <code>vitrine demo</code> runs a small storefront with a few conversations and sends them here.</p>
      </div>
    </main>
  </>
}
