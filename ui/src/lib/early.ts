// What early.ts has asked for already: each answer is taken once, and only soon after the page began.

interface Early { now: number; url: string; response: Promise<Response> }
declare global {
  var vitrineEarly: Early | undefined, vitrineStarted: boolean | undefined
}
globalThis.vitrineStarted = true

const FRESH_MS = 5000

/* The moment that "now" means: the one that was asked for early, while it is fresh. */
export function nowish() {
  const now = Date.now(), early = globalThis.vitrineEarly
  return early && now - early.now < FRESH_MS ? early.now : now
}

export function takeEarly(url: string): Promise<Response> | undefined {
  const early = globalThis.vitrineEarly
  if (early?.url !== url || Date.now() - early.now >= FRESH_MS) return undefined
  globalThis.vitrineEarly = { ...early, url: '' }
  return early.response
}
