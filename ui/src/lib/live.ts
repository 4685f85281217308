// The live stream: spans as they come, over a WebSocket that comes back by itself. What arrives between two frames of the screen
// is shown together; while paused it is counted only.

import { useEffect, useReducer, useRef } from 'preact/hooks'
import { ApiError, openLive } from './api'
import type { Span } from './types'

const KEEP = 2000, RATE_SECONDS = 60
export type LiveState = 'connecting' | 'open' | 'waiting'

export interface Live {
  state: LiveState; spans: Span[]; paused: boolean; missed: number; dropped: number; total: number; perSecond: number[]; error: ApiError | null; retryInMs: number
}
const fresh = (): Live => ({ state: 'connecting', spans: [], paused: false, missed: 0, dropped: 0, total: 0, perSecond: Array(RATE_SECONDS).fill(0), error: null, retryInMs: 0 })

export function useLive(q: string) {
  const live = useRef<Live>(fresh())
  const socket = useRef<WebSocket>()
  const [, again] = useReducer((n: number) => n + 1, 0)
  const sent = useRef(q)
  useEffect(() => {
    let over = false, tries = 0, frame = 0, retry: ReturnType<typeof setTimeout>
    const waiting: Span[] = []
    const show = () => { if (!frame) frame = requestAnimationFrame(flush) }
    const flush = () => {
      frame = 0
      const l = live.current
      if (waiting.length) l.spans = waiting.splice(0).reverse().concat(l.spans).slice(0, KEEP)
      again(0)
    }
    const take = (text: string) => {
      let message: Omit<Span, 'error'> & { dropped?: number; error?: { message: string; code?: string; hint?: string; column?: number } | string }
      try { message = JSON.parse(text) } catch { return }
      const l = live.current
      if (message.span_id !== undefined) {
        l.total++
        l.perSecond[RATE_SECONDS - 1]++
        l.error = null
        if (l.paused) l.missed++
        else waiting.push(message as Span)
        if (waiting.length > KEEP) waiting.splice(0, waiting.length - KEEP)
      } else if (typeof message.dropped === 'number') l.dropped += message.dropped
      else if (message.error && typeof message.error === 'object') l.error = new ApiError(400, message.error.code ?? '', message.error.message, message.error.hint, message.error.column)
      show()
    }
    const connect = () => {
      live.current.state = 'connecting'
      again(0)
      try { socket.current = openLive(sent.current) } catch (e) { live.current.error = new ApiError(-1, 'page', String(e)); return }
      const ws = socket.current
      ws.onopen = () => { tries = 0; live.current.state = 'open'; again(0) }
      ws.onmessage = event => take(String(event.data))
      ws.onclose = () => {
        if (over) return
        live.current.state = 'waiting'
        live.current.retryInMs = Math.min(15_000, 500 * 2 ** tries++)
        again(0)
        retry = setTimeout(connect, live.current.retryInMs)
      }
    }
    connect()
    const second = setInterval(() => { // the rate moves on also when nothing comes
      const rates = live.current.perSecond
      rates.shift()
      rates.push(0)
      again(0)
    }, 1000)
    return () => { over = true; clearTimeout(retry); clearInterval(second); cancelAnimationFrame(frame); socket.current?.close() }
  }, [])
  useEffect(() => {
    if (sent.current === q) return
    sent.current = q
    live.current.error = null
    live.current.spans = []
    if (socket.current?.readyState === WebSocket.OPEN) socket.current.send(JSON.stringify({ q }))
    again(0)
  }, [q])
  const change = (paused: boolean) => { Object.assign(live.current, { paused, missed: 0 }); again(0) }
  return { ...live.current, pause: change, clear: () => { Object.assign(live.current, { spans: [], missed: 0, dropped: 0, total: 0 }); again(0) } }
}
