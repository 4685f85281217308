// Writes OTLP's ExportTraceServiceRequest by hand: enough of protobuf for tests that send it as bytes.
import { randomBytes } from 'node:crypto';

const varint = (value) => {
  const out = [];
  for (let rest = BigInt(value); ; rest >>= 7n) {
    if (rest < 0x80n) return Buffer.from([...out, Number(rest)]);
    out.push(Number(rest & 0x7fn) | 0x80);
  }
};
const bytes = (field, data) => {
  const content = Buffer.from(data);
  return Buffer.concat([varint((field << 3) | 2), varint(content.length), content]);
};
const fixed64 = (field, value) => {
  const content = Buffer.alloc(8);
  content.writeBigUInt64LE(BigInt(value));
  return Buffer.concat([varint((field << 3) | 1), content]);
};
const attribute = (field, [key, value]) => bytes(field, Buffer.concat([bytes(1, key), bytes(2, bytes(1, String(value)))]));

/** spans: [{traceId?, name, attributes}]; gives {body, traceIds}. */
export function exportRequest(spans, { service = 'e2e' } = {}) {
  const now = BigInt(Date.now()) * 1_000_000n;
  const traceIds = [];
  const written = spans.map(({ traceId = randomBytes(16).toString('hex'), name = 'chat', attributes = {} }) => {
    traceIds.push(traceId);
    return bytes(2, Buffer.concat([
      bytes(1, Buffer.from(traceId, 'hex')), bytes(2, randomBytes(8)), bytes(5, name),
      fixed64(7, now - 5_000_000n), fixed64(8, now), ...Object.entries(attributes).map((pair) => attribute(9, pair)),
    ]));
  });
  const resource = bytes(1, attribute(1, ['service.name', service]));
  return { body: bytes(1, Buffer.concat([resource, bytes(2, Buffer.concat(written))])), traceIds };
}

export const llmSpan = (name, attributes = {}) => ({
  name,
  attributes: { 'gen_ai.operation.name': 'chat', 'gen_ai.system': 'openai', 'gen_ai.request.model': 'gpt-4o', ...attributes },
});

export const protobuf = { 'content-type': 'application/x-protobuf' };

/** The fields of a protobuf message as they stand: [[number, bytes or BigInt]]. */
function fields(message) {
  const found = [];
  let at = 0;
  const number = () => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = message[at++];
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < message.length) {
    const tag = Number(number()), field = tag >> 3, wire = tag & 7, size = wire === 2 ? Number(number()) : wire === 1 ? 8 : wire === 5 ? 4 : 0;
    found.push([field, wire === 0 ? number() : message.subarray(at, at + size)]);
    at += size;
  }
  return found;
}
const each = (message, field) => fields(message).filter(([number]) => number === field).map(([, content]) => content);
const keys = (message, field) => each(message, field).map((pair) => each(pair, 1)[0].toString());

/** What an ExportTraceServiceRequest says of its spans: [{name, resource, attributes}], the latter lists of keys. */
export const readRequest = (body) => each(body, 1).flatMap((group) => {
  const resource = each(group, 1).flatMap((one) => keys(one, 1));
  return each(group, 2).flatMap((scope) => each(scope, 2)).map((span) => ({ name: each(span, 5)[0].toString(), resource, attributes: keys(span, 9) }));
});
