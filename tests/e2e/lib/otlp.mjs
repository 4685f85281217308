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
