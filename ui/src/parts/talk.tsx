// A conversation: who said what, tool calls and their results, long texts folded.

import { useState } from 'preact/hooks'
import type { Spoken } from '../lib/said'
import { pretty } from '../lib/said'
import { Copy } from './basics'
import { Icon } from './icon'
import { Json } from './json'
import { Markdown } from './markdown'

const FOLD = 1600

export const roleNames: Record<string, string> = { system: 'System', developer: 'Developer', user: 'User', assistant: 'Assistant', tool: 'Tool result', function: 'Tool result', model: 'Assistant' }

function Body({ message }: { message: Spoken }) {
  const quiet = /system|developer|tool|function/.test(message.role)
  const [open, setOpen] = useState(false)
  const long = message.text.length > (quiet ? 480 : FOLD)
  const text = long && !open ? message.text.slice(0, quiet ? 400 : FOLD) + ' …' : message.text
  const structured = /^\s*[[{]/.test(message.text) && pretty(message.text) !== message.text
  return <>
    {message.text && (structured ? <Json text={text} /> : quiet && /tool|function/.test(message.role) ? <pre class="json">{text}</pre> : <Markdown text={text} />)}
    {long && <button class="button ghost small" onClick={() => setOpen(!open)}>{open ? 'Show less' : `Show all ${message.text.length.toLocaleString('en-US')} characters`}</button>}
    {message.media.map(kind => <span class="chip">{kind.replace(/[_-]/g, ' ')} not shown</span>)}
    {message.calls.map(call => <div class="call"><div class="row"><Icon name="tool" /><b class="mono">{call.name}</b></div>{call.args && call.args !== '{}' && <Json text={call.args} />}</div>)}
  </>
}

export function Talk({ messages }: { messages: Spoken[] }) {
  return <ol class="talk">{messages.map((message, i) => <li key={i} class={'said ' + message.role}>
    <div class="who"><span>{roleNames[message.role] ?? message.role}</span>{message.name && <span class="mono dim">{message.name}</span>}<span class="push"><Copy text={message.text || message.calls.map(c => `${c.name}(${c.args})`).join('\n')} label="Copy the message" /></span></div>
    <div class="what"><Body message={message} /></div></li>)}</ol>
}
