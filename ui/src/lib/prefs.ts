// What the page remembers in this browser: theme, columns, saved views, access key. Works without storage, too.

const memory = new Map<string, string>()

export function readPref<T>(name: string, fallback: T): T {
  let text: string | null | undefined
  try { text = localStorage.getItem('vitrine.' + name) } catch { text = memory.get(name) }
  if (text === null || text === undefined) return fallback
  try { return JSON.parse(text) as T } catch { return fallback }
}

export function writePref(name: string, value: unknown) {
  const text = JSON.stringify(value)
  try { localStorage.setItem('vitrine.' + name, text) } catch { memory.set(name, text) }
}
