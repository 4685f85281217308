// JSON, coloured. Pieces are text nodes; very long texts stay without colour.

const rule = /("(?:[^"\\]|\\.)*")(\s*:)?|(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|\b(true|false|null)\b/g
const COLOUR_MAX = 60_000

export function Json({ text }: { text: string }) {
  if (text.length > COLOUR_MAX) return <pre class="json">{text}</pre>
  const out = []
  let at = 0
  for (const m of text.matchAll(rule)) {
    if (m.index! > at) out.push(text.slice(at, m.index))
    out.push(<span class={m[2] ? 'j-key' : m[1] ? 'j-str' : m[3] ? 'j-num' : 'j-lit'}>{m[1] ?? m[0]}</span>)
    if (m[2]) out.push(m[2])
    at = m.index! + m[0].length
  }
  out.push(text.slice(at))
  return <pre class="json">{out}</pre>
}
