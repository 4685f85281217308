// Keys that mean something on a page must not fire while someone types or holds a modifier.

export function isTyping(event: KeyboardEvent): boolean {
  const target = event.target as HTMLElement
  return /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName) || target.isContentEditable || event.ctrlKey || event.metaKey || event.altKey
}
