// Makes pictures of a page small: its 256 most frequent colours, each pixel the nearest of them, packed as tightly as zlib can.
import { deflateSync, inflateSync } from 'node:zlib'

const COLOURS = 256
const table = Array.from({ length: 256 }, (_, n) => { for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1; return n >>> 0 })
const crc = data => { let c = 0xffffffff; for (const byte of data) c = table[(c ^ byte) & 255] ^ (c >>> 8); return (c ^ 0xffffffff) >>> 0 }

function chunk(type, data) {
  const body = Buffer.concat([Buffer.from(type), data]), out = Buffer.alloc(body.length + 8)
  out.writeUInt32BE(data.length)
  body.copy(out, 4)
  out.writeUInt32BE(crc(body), body.length + 4)
  return out
}

/* Pixels of an 8-bit RGB or RGBA picture, {width, height, step, pixels}. */
function decode(png) {
  const parts = []
  let width, height, step
  for (let at = 8; at < png.length;) {
    const size = png.readUInt32BE(at), type = png.toString('latin1', at + 4, at + 8), data = png.subarray(at + 8, at + 8 + size)
    if (type === 'IHDR') { width = data.readUInt32BE(0); height = data.readUInt32BE(4); step = { 2: 3, 6: 4 }[data[9]] }
    if (type === 'IDAT') parts.push(data)
    at += size + 12
  }
  const raw = inflateSync(Buffer.concat(parts)), line = width * step, pixels = Buffer.alloc(line * height)
  for (let y = 0; y < height; y++) {
    const filter = raw[y * (line + 1)], from = y * (line + 1) + 1, to = y * line
    for (let x = 0; x < line; x++) {
      const a = x >= step ? pixels[to + x - step] : 0, b = y ? pixels[to + x - line] : 0, c = x >= step && y ? pixels[to + x - line - step] : 0
      const p = a + b - c, pa = Math.abs(p - a), pb = Math.abs(p - b), pc = Math.abs(p - c)
      pixels[to + x] = raw[from + x] + [0, a, b, (a + b) >> 1, pa <= pb && pa <= pc ? a : pb <= pc ? b : c][filter]
    }
  }
  return { width, height, step, pixels }
}

export function shrink(png) {
  const { width, height, step, pixels } = decode(png)
  const counts = new Map(), keyAt = i => pixels[i] << 16 | pixels[i + 1] << 8 | pixels[i + 2]
  for (let i = 0; i < pixels.length; i += step) counts.set(keyAt(i), (counts.get(keyAt(i)) ?? 0) + 1)
  const palette = [...counts].sort((a, b) => b[1] - a[1]).slice(0, COLOURS).map(c => c[0]), place = new Map(palette.map((key, i) => [key, i]))
  const nearest = key => {
    let best = 0, least = Infinity
    palette.forEach((p, i) => { const far = ((p >> 16) - (key >> 16)) ** 2 + ((p >> 8 & 255) - (key >> 8 & 255)) ** 2 + ((p & 255) - (key & 255)) ** 2; if (far < least) { least = far; best = i } })
    place.set(key, best)
    return best
  }
  const lines = Buffer.alloc((width + 1) * height)
  for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) { const key = keyAt((y * width + x) * step); lines[y * (width + 1) + 1 + x] = place.get(key) ?? nearest(key) }
  const head = Buffer.alloc(13)
  head.writeUInt32BE(width)
  head.writeUInt32BE(height, 4)
  head.set([8, 3, 0, 0, 0], 8)
  return Buffer.concat([png.subarray(0, 8), chunk('IHDR', head), chunk('PLTE', Buffer.from(palette.flatMap(p => [p >> 16, p >> 8 & 255, p & 255]))), chunk('IDAT', deflateSync(lines, { level: 9, memLevel: 9 })), chunk('IEND', Buffer.alloc(0))])
}
