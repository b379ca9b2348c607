/** The `keyframes` text of SoftREPA Schedule: strength over the share of the schedule. The server
 * reads the same text in softrepa/schedule.py, and has the last word on it. */

import { NUMBER } from './layers.js'

const WHOLE = new RegExp(`^${NUMBER}$`, 'i')

/** [[share, strength], …] in order, or null where the text is not a curve. */
export function readKeyframes(text) {
  const items = text
    .replaceAll('\n', ',')
    .split(',')
    .map((item) => item.trim())
    .filter(Boolean)
  if (!items.length) return null
  const spread = !items.some((item) => item.includes(':'))
  const points = items.map((item, index) => {
    if (spread) return [index / Math.max(items.length - 1, 1), readNumber(item)]
    const [share, strength, ...rest] = item.split(':')
    return rest.length ? [NaN, NaN] : [readNumber(share), readNumber(strength ?? '')]
  })
  const good = points.every(
    ([share, strength], index) =>
      share >= 0 &&
      share <= 1 &&
      Number.isFinite(strength) &&
      (index === 0 || share > points[index - 1][0])
  )
  return good ? points : null
}

function readNumber(text) {
  const trimmed = text.trim()
  return WHOLE.test(trimmed) ? Number(trimmed) : NaN
}

export function writeKeyframes(points) {
  return points.map(([share, strength]) => `${short(share)}:${short(strength)}`).join(', ')
}

/** A number with at most three decimals. */
export function short(number) {
  return String(Number(number.toFixed(3)))
}

/** The strength at a share of the schedule: constant before the first point and after the last. */
export function strengthAt(points, interpolation, share) {
  const next = points.findIndex(([place]) => place > share)
  if (next === 0) return points[0][1]
  if (next < 0) return points.at(-1)[1]
  const [[start, low], [end, high]] = [points[next - 1], points[next]]
  let part = (share - start) / (end - start)
  if (interpolation === 'step') part = 0
  else if (interpolation === 'smooth') part = (1 - Math.cos(Math.PI * part)) / 2
  return low + (high - low) * part
}
