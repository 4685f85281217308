// Markdown to nodes, the part that models write: headings, lists, code, quotes, tables, emphasis, links. Text never becomes
// HTML: every piece is a text node, links open only http(s) and mailto, images are shown as their link.

import type { ComponentChildren } from 'preact'

/* A line is matched in time that may grow with its square: beyond this length it is shown as it stands. */
const LENGTH_MAX = 200_000, LINE_MAX = 4000, DEPTH_MAX = 8

export function safeUrl(url: string): string | null {
  const trimmed = url.trim()
  if (/^(https?:|mailto:)/i.test(trimmed) && !/[\u0000-\u0020]/.test(trimmed)) return trimmed
  return null
}

const inlineRule = /(`+)([^`]|[^`][\s\S]*?[^`])\1(?!`)|(\*\*|__)(?=\S)([\s\S]*?\S)\3|(?<![\w*])([*_])(?=[^\s*_])([^*_\n]*?[^\s*_])\5(?!\w)|~~(?=\S)([\s\S]*?\S)~~|!?\[([^\]\n]*)\]\(([^()\s]+(?:\([^()\s]*\)[^()\s]*)?)(?:\s+"[^"]*")?\)|(https?:\/\/[^\s<>"')\]]+)|\\([\\`*_{}[\]()#+\-.!|~>])/

function inline(text: string, depth = 0): ComponentChildren[] {
  if (text.length > LINE_MAX) return [text]
  const out: ComponentChildren[] = []
  let rest = text
  while (rest) {
    const m = depth < DEPTH_MAX ? inlineRule.exec(rest) : null
    if (!m) { out.push(rest); break }
    if (m.index) out.push(rest.slice(0, m.index))
    if (m[2] !== undefined) out.push(<code>{m[2]}</code>)
    else if (m[4] !== undefined) out.push(<strong>{inline(m[4], depth + 1)}</strong>)
    else if (m[6] !== undefined) out.push(<em>{inline(m[6], depth + 1)}</em>)
    else if (m[7] !== undefined) out.push(<s>{inline(m[7], depth + 1)}</s>)
    else if (m[9] !== undefined || m[10] !== undefined) {
      const url = safeUrl(m[9] ?? m[10])
      const label = m[9] === undefined ? m[10] : inline(m[8] || m[9], depth + 1)
      out.push(url ? <a href={url} target="_blank" rel="noopener noreferrer nofollow">{label}</a> : m[0])
    } else out.push(m[11])
    rest = rest.slice(m.index + m[0].length)
  }
  return out
}

const bullet = /^(\s*)([-*+]|\d{1,9}[.)])\s+(.*)$/

function list(lines: string[], start: number, depth: number): [ComponentChildren, number] {
  const head = bullet.exec(lines[start])!
  const indent = head[1].length, ordered = /\d/.test(head[2])
  const items: ComponentChildren[] = []
  let i = start
  while (i < lines.length) {
    const m = bullet.exec(lines[i])
    if (!m || m[1].length < indent || (m[1].length < indent + 2 && /\d/.test(m[2]) !== ordered)) break
    const body = [m[3]]
    i++
    while (i < lines.length && lines[i].trim() && !(bullet.exec(lines[i]) && bullet.exec(lines[i])![1].length < indent + 2) && /^\s/.test(lines[i])) body.push(lines[i++].slice(Math.min(indent + 2, lines[i - 1].search(/\S/))))
    items.push(<li>{body.length === 1 ? inline(body[0]) : [inline(body[0]), blocks(body.slice(1), depth + 1)]}</li>)
    if (i < lines.length && !lines[i].trim() && bullet.test(lines[i + 1] ?? '')) i++
  }
  return [ordered ? <ol start={parseInt(head[2], 10)}>{items}</ol> : <ul>{items}</ul>, i]
}

const cells = (line: string) => line.trim().replace(/^\||\|$/g, '').split(/(?<!\\)\|/).map(cell => cell.trim().replace(/\\\|/g, '|'))
/* The corner above a column of names is no heading. */
const heading = (cell: string) => cell.replace(/[\s`*_~]/g, '') ? <th scope="col">{inline(cell)}</th> : <td />

function blocks(lines: string[], depth = 0): ComponentChildren[] {
  const out: ComponentChildren[] = []
  if (depth > DEPTH_MAX) return [lines.join('\n')]
  for (let i = 0; i < lines.length;) {
    const line = lines[i]
    const fence = /^\s{0,3}(```+|~~~+)/.exec(line)
    const title = /^\s{0,3}(#{1,6})\s+(.*?)\s*#*$/.exec(line)
    if (!line.trim()) i++
    else if (fence) {
      const body: string[] = []
      for (i++; i < lines.length && !lines[i].trim().startsWith(fence[1]); i++) body.push(lines[i])
      i++
      out.push(<pre tabIndex={0}><code>{body.join('\n')}</code></pre>)
    } else if (title) {
      out.push(<p class="title">{inline(title[2])}</p>) // what a model calls a heading is none of the page's
      i++
    } else if (/^\s{0,3}([-*_])(\s*\1){2,}\s*$/.test(line)) {
      out.push(<hr />)
      i++
    } else if (/^\s{0,3}>/.test(line)) {
      const body: string[] = []
      while (i < lines.length && /^\s{0,3}>/.test(lines[i])) body.push(lines[i++].replace(/^\s{0,3}>\s?/, ''))
      out.push(<blockquote>{blocks(body, depth + 1)}</blockquote>)
    } else if (bullet.test(line)) {
      const [node, next] = list(lines, i, depth)
      out.push(node)
      i = next
    } else if (line.includes('|') && /^[\s|:-]+$/.test(lines[i + 1] ?? '') && lines[i + 1].includes('-')) {
      const head = cells(line), body: ComponentChildren[] = []
      for (i += 2; i < lines.length && lines[i].includes('|'); i++) body.push(<tr>{cells(lines[i]).map(cell => <td>{inline(cell)}</td>)}</tr>)
      out.push(<div class="table-wrap"><table><thead><tr>{head.map(heading)}</tr></thead><tbody>{body}</tbody></table></div>)
    } else {
      const body = [lines[i++]]
      while (i < lines.length && lines[i].trim() && !/^\s{0,3}(```|~~~|#{1,6}\s|>)/.test(lines[i]) && !bullet.test(lines[i])) body.push(lines[i++])
      out.push(<p>{body.flatMap((text, n) => n ? [<br />, ...inline(text)] : inline(text))}</p>)
    }
  }
  return out
}

export function Markdown({ text }: { text: string }) {
  if (text.length > LENGTH_MAX) return <pre class="json">{text}</pre>
  return <div class="md">{blocks(text.replace(/\r\n?/g, '\n').split('\n'))}</div>
}
