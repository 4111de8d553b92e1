// Weight diffs and digests, written from docs/protocol-diff.md alone. Weights are {name: Float32Array}; a layout is
// {name, tensors: [[name, shape]]} in the layout's order.
import { createHash } from 'node:crypto'
import { gunzipSync, gzipSync } from 'node:zlib'
import { decode, encode } from '@msgpack/msgpack'

const round = Math.fround
const count = (shape) => shape.reduce((product, axis) => product * axis, 1)
const rowsOf = (shape) => (shape.length < 2 ? 1 : shape[0])

const uint32 = (...numbers) => {
  const bytes = Buffer.alloc(4 * numbers.length)
  numbers.forEach((number, place) => bytes.writeUInt32LE(number, 4 * place))
  return bytes
}

export function floats (bytes) {
  if (bytes.length % 4) throw new Error('not whole float32 values')
  const copy = Buffer.from(bytes)
  return Float32Array.from({ length: copy.length / 4 }, (_, n) => copy.readFloatLE(4 * n))
}

const bytesOf = (values) => {
  const bytes = Buffer.alloc(4 * values.length)
  values.forEach((value, n) => bytes.writeFloatLE(value, 4 * n))
  return bytes
}

export function digest (weights, layout) {
  const sha = createHash('sha256')
  const shapes = Object.fromEntries(layout.tensors)
  const names = Object.keys(shapes).map((name) => Buffer.from(name)).sort(Buffer.compare)
  for (const label of names) {
    const name = label.toString()
    sha.update(Buffer.concat([uint32(label.length), label, uint32(shapes[name].length, ...shapes[name])]))
    sha.update(bytesOf(weights[name]))
  }
  return sha.digest()
}

function half (bits) {
  const sign = bits & 0x8000 ? -1 : 1
  const exponent = (bits >> 10) & 31
  const fraction = bits & 1023
  if (exponent === 31) throw new Error('not finite')
  return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -14 * (fraction / 1024))
}

// Levels, or the values themselves, of one tensor.
function levels (encoding, values, n) {
  const bytes = Buffer.from(values)
  const size = { fp32: 4 * n, fp16: 2 * n, int8: n, int4: Math.ceil(n / 2), ternary: Math.ceil(n / 5) }[encoding]
  if (bytes.length !== size) throw new Error(`${bytes.length} bytes of values, not ${size}`)
  return Array.from({ length: n }, (_, k) => {
    if (encoding === 'fp32') return bytes.readFloatLE(4 * k)
    if (encoding === 'fp16') return half(bytes.readUInt16LE(2 * k))
    if (encoding === 'int8') return bytes.readInt8(k)
    if (encoding === 'int4') return ((bytes[k >> 1] >> (4 * (k & 1))) & 15) << 28 >> 28
    return Math.floor(bytes[Math.floor(k / 5)] / 3 ** (k % 5)) % 3 - 1
  })
}

// The result of a diff: refuses what is not exactly a diff of this layout.
export function apply (body, base, layout) {
  const { buffer: unpacked, engine } = gunzipSync(body, { info: true, maxOutputLength: 1 << 20 })
  if (engine.bytesWritten !== body.length) throw new Error('bytes after the gzip member')
  const diff = decode(unpacked)
  if (!Buffer.from(encode(diff)).equals(unpacked)) throw new Error('not the shortest msgpack')
  if (Object.keys(diff).join() !== 'v,layout,encoding,tensors') throw new Error('other keys, or another order')
  if (diff.v !== 1 || diff.layout !== layout.name || diff.tensors.length !== layout.tensors.length) throw new Error('other ground')
  const result = {}
  layout.tensors.forEach(([wanted, shape], place) => {
    const [name, axes, scales, values] = diff.tensors[place]
    if (name !== wanted || axes.join() !== shape.join()) throw new Error(`tensor ${name} is not ${wanted}`)
    const n = count(shape)
    const rows = rowsOf(shape)
    const scale = floats(scales)
    const scaled = ['int8', 'int4', 'ternary'].includes(diff.encoding)
    if (scale.length !== (scaled ? rows : 0)) throw new Error(`${scale.length} scales for ${rows} rows`)
    const from = base[name]
    result[name] = Float32Array.from(levels(diff.encoding, values, n), (level, k) => {
      const step = scaled ? round(scale[Math.floor(k / (n / rows))] * level) : level
      const sum = round(from[k] + step)
      if (!Number.isFinite(sum)) throw new Error('not finite')
      return sum
    })
  })
  return { encoding: diff.encoding, result }
}

// An int8 diff of this side's own making.
export function makeInt8 (local, base, layout) {
  const tensors = layout.tensors.map(([name, shape]) => {
    const n = count(shape)
    const rows = rowsOf(shape)
    const long = n / rows
    const scales = new Float32Array(rows)
    const values = Buffer.alloc(n)
    for (let row = 0; row < rows; row++) {
      const steps = Array.from({ length: long }, (_, k) => local[name][row * long + k] - base[name][row * long + k])
      scales[row] = Math.max(...steps.map(Math.abs)) / 127
      steps.forEach((step, k) => {
        const level = scales[row] ? Math.max(-127, Math.min(127, Math.round(step / scales[row]))) : 0
        values.writeInt8(level, row * long + k)
      })
    }
    return [name, shape, bytesOf(scales), values]
  })
  return gzipSync(encode({ v: 1, layout: layout.name, encoding: 'int8', tensors }))
}
