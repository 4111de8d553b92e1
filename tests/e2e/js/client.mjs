// Dials a Babelmesh node, tries its patience, brings it an update of our own, and takes its updates over the same link.
// usage: node --import ./polyfill.mjs client.mjs TASK.json; prints one JSON object per line of what happened.
import { readFileSync } from 'node:fs'
import { createLibp2p } from 'libp2p'
import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import { tcp } from '@libp2p/tcp'
import { generateKeyPairFromSeed } from '@libp2p/crypto/keys'
import { multiaddr } from '@multiformats/multiaddr'
import { encode } from '@msgpack/msgpack'
import { apply, digest, floats, makeInt8 } from './diff.mjs'
import { answer, ask, PIECE, PROTOCOL, pack, sha256, signedBytes } from './wire.mjs'

const task = JSON.parse(readFileSync(process.argv[2], 'utf8'))
const layout = task.layout
const genesis = Object.fromEntries(Object.entries(task.genesis).map(([name, hex]) => [name, floats(Buffer.from(hex, 'hex'))]))
const ground = digest(genesis, layout)
const tell = (event, facts = {}) => console.log(JSON.stringify({ event, ...facts }))

const key = await generateKeyPairFromSeed('Ed25519', Buffer.from(task.seed, 'hex'))
const node = await createLibp2p({
  privateKey: key,
  addresses: { listen: [] },
  transports: [tcp()],
  connectionEncrypters: [noise()],
  streamMuxers: [yamux()],
  connectionManager: { reconnectRetries: 0 }
})
const me = node.peerId.toString()
const known = new Map([[ground.toString('hex'), genesis]])

async function sign (offer, by = me) {
  return { t: 'offer', ...offer, signature: await key.sign(signedBytes(by, offer)) }
}

async function bring (connection, body, offer) {
  let reply = await ask(connection, offer)
  let pieces = 0
  while (reply.t === 'want') {
    const data = body.subarray(reply.offset, reply.offset + Math.min(PIECE, task.piece))
    reply = await ask(connection, { t: 'piece', update: offer.update, offset: reply.offset, data })
    pieces++
  }
  return { ...reply, pieces }
}

// The other side's updates.
let wanted = null
let bytes = Buffer.alloc(0)
let taken = 0
const finished = Promise.withResolvers()

async function respond (request, connection) {
  if (request.t === 'hello') return { t: 'welcome', agent: 'js-check/1', name: 'JavaScript', layout: layout.name, genesis: ground }
  if (request.t === 'offer') {
    const sender = connection.remotePeer
    const right = await sender.publicKey.verify(signedBytes(sender.toString(), request), request.signature)
    if (!right) return { t: 'refused', code: 'bad-signature', sentence: '', retry_after: null }
    if (!known.has(Buffer.from(request.base).toString('hex'))) {
      return { t: 'refused', code: 'unknown-base', sentence: '', retry_after: null }
    }
    wanted = request
    bytes = Buffer.alloc(0)
    return { t: 'want', update: request.update, offset: 0 }
  }
  if (request.t !== 'piece' || !wanted) return { t: 'refused', code: 'not-offered', sentence: '', retry_after: null }
  if (request.offset === bytes.length) bytes = Buffer.concat([bytes, Buffer.from(request.data)])
  if (bytes.length < wanted.size) return { t: 'want', update: wanted.update, offset: bytes.length }
  if (!sha256(bytes).equals(Buffer.from(wanted.update))) return { t: 'refused', code: 'bad-hash', sentence: '', retry_after: null }
  const base = known.get(Buffer.from(wanted.base).toString('hex'))
  const { encoding, result } = apply(bytes, base, layout)
  const name = digest(result, layout).toString('hex')
  known.set(name, result)
  tell('taken', { encoding, size: bytes.length, result: name, announced: Buffer.from(wanted.result).toString('hex') })
  if (++taken === task.updates) finished.resolve()
  return { t: 'done', update: wanted.update }
}

await node.handle(PROTOCOL, async (stream, connection) => {
  try {
    await answer(stream, connection, respond)
  } catch (error) {
    tell('failed', { why: String(error.stack) })
    stream.abort(error)
  }
})

const connection = await node.dial(multiaddr(task.address))
tell('linked', { encryption: connection.encryption, muxer: connection.multiplexer, peer: connection.remotePeer.toString() })

const welcome = await ask(connection, { t: 'hello', agent: 'js-check/1', name: 'JavaScript', layout: layout.name, genesis: ground })
tell('hello', { answer: welcome.t, code: welcome.code, same: welcome.t === 'welcome' && ground.equals(Buffer.from(welcome.genesis)) })

const nowhere = Buffer.alloc(32, 9)
for (const [what, body] of [
  ['a kind that is not known', Buffer.from(encode({ t: 'goodbye', v: 1 }))],
  ['another version', Buffer.from(encode({ t: 'hello', v: 2, anything: ['at', 'all'] }))],
  ['a field too many', pack({ t: 'done', update: nowhere, more: 1 })],
  ['a piece of nothing', pack({ t: 'piece', update: nowhere, offset: 0, data: Buffer.from('x') })]
]) {
  const reply = await ask(connection, body)
  tell('refused', { what, answer: reply.t, code: reply.code })
}

const local = Object.fromEntries(Object.entries(genesis).map(([name, values]) => [name, values.map((v, k) => v + 0.01 * Math.sin(k + 1))]))
const body = makeInt8(local, genesis, layout)
const { result } = apply(body, genesis, layout)
const plain = {
  update: sha256(body), size: body.length, layout: layout.name, base: ground, result: digest(result, layout),
  encoding: 'int8', sequence: task.sequence, frames: 1234
}
const forged = await ask(connection, await sign(plain, connection.remotePeer.toString()))
tell('refused', { what: 'a signature over another sender', answer: forged.t, code: forged.code })
const offer = await sign(plain)
tell('brought', { ...await bring(connection, body, offer), update: plain.update.toString('hex'), result: plain.result.toString('hex') })
tell('again', await bring(connection, body, offer).then(({ t, pieces }) => ({ answer: t, pieces })))
const older = await ask(connection, await sign({ ...plain, update: nowhere }))
tell('refused', { what: 'an old sequence number', answer: older.t, code: older.code })

if (task.updates) await finished.promise
await new Promise((resolve) => setTimeout(resolve, 200)) // the last answer is on its way
await node.stop()
tell('over')
