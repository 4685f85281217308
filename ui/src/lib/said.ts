// What was said: prompts and completions come as a list of messages, as JSON text, or as plain text, in the dialects of many
// SDKs. Here they become one form.

import type { Message, Said } from './types'

export interface ToolCall { id?: string; name: string; args: string }
export interface Spoken { role: string; text: string; calls: ToolCall[]; toolId?: string; name?: string; media: string[] }

const asText = (value: unknown): string => typeof value === 'string' ? value : value === undefined || value === null ? '' : JSON.stringify(value, null, 2)

function callOf(raw: Record<string, unknown>): ToolCall {
  const fn = (raw.function ?? raw) as Record<string, unknown>
  const args = fn.arguments ?? fn.args ?? fn.input ?? raw.arguments ?? ''
  return { id: (raw.id ?? raw.toolCallId ?? raw.tool_call_id) as string | undefined, name: String(fn.name ?? raw.toolName ?? raw.tool_name ?? 'tool'), args: pretty(asText(args)) }
}

export function pretty(text: string): string {
  if (!/^\s*[[{]/.test(text) || text.length > 500_000) return text
  try { return JSON.stringify(JSON.parse(text), null, 2) } catch { return text }
}

function addPart(out: Spoken, part: unknown) {
  if (typeof part === 'string') { out.text += (out.text ? '\n' : '') + part; return }
  if (!part || typeof part !== 'object') return
  const p = part as Record<string, unknown>
  const type = String(p.type ?? '')
  if (/tool[-_]?(call|use)|function_call/.test(type)) out.calls.push(callOf(p))
  else if (/tool[-_]?(call[-_]response|result)/.test(type)) {
    out.role = 'tool'
    out.toolId = (p.tool_use_id ?? p.toolCallId ?? p.id) as string | undefined
    addPart(out, pretty(asText(p.response ?? p.result ?? p.output ?? p.content)))
  } else if (/image|audio|file|media/.test(type)) out.media.push(type)
  else addPart(out, asText(p.text ?? p.content ?? p))
}

function speak(raw: Message): Spoken {
  const message = (raw.message ?? raw) as Message
  const out: Spoken = { role: String(message.role ?? raw.role ?? 'assistant'), text: '', calls: [], media: [], name: message.name as string | undefined, toolId: message.tool_call_id as string | undefined }
  const content = message.content ?? message.parts ?? message.text
  for (const part of Array.isArray(content) ? content : [content]) addPart(out, part)
  for (const call of Array.isArray(message.tool_calls) ? message.tool_calls : []) out.calls.push(callOf(call as Record<string, unknown>))
  return out
}

export function spoken(said: Said | undefined, role: string): Spoken[] {
  if (said === undefined || said === null || said === '') return []
  if (Array.isArray(said)) return said.map(message => typeof message === 'string' ? { role, text: message, calls: [], media: [] } : speak(message))
  if (typeof said === 'object') return [speak(said as Message)]
  if (/^\s*\[\s*\{/.test(said)) {
    try {
      const list = JSON.parse(said)
      if (Array.isArray(list) && list.every(m => m && typeof m === 'object' && ('role' in m || 'content' in m || 'parts' in m))) return list.map(speak)
    } catch { /* it only looked like messages */ }
  }
  return [{ role, text: said, calls: [], media: [] }]
}
