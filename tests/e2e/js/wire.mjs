// Frames, messages and signed bytes, written from docs/protocol.md alone.
import { createHash } from 'node:crypto'
import { decode, encode } from '@msgpack/msgpack'

export const PROTOCOL = '/babelmesh/exchange/1.0.0'
export const PIECE = 32 * 1024
const LARGEST_BODY = 64 * 1024

export const sha256 = (bytes) => createHash('sha256').update(bytes).digest()

export function frame (body) {
  const head = Buffer.alloc(4)
  head.writeUInt32BE(body.length)
  return Buffer.concat([head, sha256(body), body])
}

// The one frame that stands on a stream.
async function readFrame (stream) {
  let held = Buffer.alloc(0)
  for await (const chunk of stream) {
    held = Buffer.concat([held, Buffer.from(chunk.subarray())])
    if (held.length < 36) continue
    const length = held.readUInt32BE()
    if (length < 1 || length > LARGEST_BODY) throw new Error(`a frame of ${length} bytes`)
    if (held.length < 36 + length) continue
    if (held.length > 36 + length) throw new Error('bytes after the frame')
    const body = held.subarray(36)
    if (!sha256(body).equals(held.subarray(4, 36))) throw new Error('the frame does not have its hash')
    return body
  }
  throw new Error(`the stream ended after ${held.length} bytes`)
}

async function send (stream, bytes) {
  if (!stream.send(bytes)) await stream.onDrain()
  await stream.close()
}

export const pack = (fields) => Buffer.from(encode({ v: 1, ...fields }))

// One request, one answer, one stream. `body` may also be bytes that are no message.
export async function ask (connection, body) {
  const stream = await connection.newStream(PROTOCOL)
  const [answer] = await Promise.all([readFrame(stream), send(stream, frame(Buffer.isBuffer(body) ? body : pack(body)))])
  return decode(answer)
}

// Answers the request on a stream that the other side has opened.
export async function answer (stream, connection, respond) {
  const request = decode(await readFrame(stream))
  await send(stream, frame(pack(await respond(request, connection))))
}

const text = (word) => {
  const bytes = Buffer.from(word, 'utf8')
  return Buffer.concat([Buffer.from([bytes.length]), bytes])
}

const uint64 = (number) => {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64BE(BigInt(number))
  return bytes
}

export function signedBytes (sender, offer) {
  return Buffer.concat([
    Buffer.from('babelmesh/offer/1\0'),
    text(sender), text(offer.layout), text(offer.encoding),
    uint64(offer.size), uint64(offer.sequence), uint64(offer.frames),
    offer.update, offer.base, offer.result
  ])
}
