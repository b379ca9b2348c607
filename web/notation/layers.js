/** The `layers` text: which blocks an adapter acts on, and how strongly. The server reads the same
 * text in softrepa/layers.py, and has the last word on it. */

export const NUMBER = String.raw`[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?`
const SPAN = String.raw`(\d+)(?:\s*-\s*(\d+))?`
const CHOICE = new RegExp(
  String.raw`^(?:(input|middle|output)(?:\.${SPAN})?|${SPAN})(?:\s*:\s*(${NUMBER}))?$`,
  'i'
)

/** "input.4" as ["input", 4]; "4" as ["", 4]. */
export function splitBlock(block) {
  const dot = block.lastIndexOf('.')
  return [block.slice(0, Math.max(dot, 0)), Number(block.slice(dot + 1))]
}

/** Map of block -> weight for what a text chooses among `blocks`, empty for an empty text.
 * Throws an Error whose message is the item that chooses nothing. */
export function readLayers(text, blocks) {
  const chosen = new Map()
  for (const item of text.split(',').map((part) => part.trim())) {
    if (!item) continue
    const match = CHOICE.exec(item)
    if (!match) throw new Error(item)
    const group = (match[1] ?? '').toLowerCase()
    const first = match[2] ?? match[4]
    const last = match[3] ?? match[5] ?? first
    const taken = blocks.filter((block) => takes(block, group, first, last))
    const beyond = !group && taken.length !== Number(last) - Number(first) + 1
    if (!taken.length || beyond) throw new Error(item)
    for (const block of taken) chosen.set(block, match[6] === undefined ? 1 : Number(match[6]))
  }
  return chosen
}

function takes(block, group, first, last) {
  const [own, number] = splitBlock(block)
  if (own !== group) return false
  return first === undefined || (Number(first) <= number && number <= Number(last))
}

/** The shortest text for these weights; `blocks` gives the order. */
export function writeLayers(chosen, blocks) {
  const groups = new Map()
  for (const block of blocks) {
    const [group] = splitBlock(block)
    if (!groups.has(group)) groups.set(group, [])
    groups.get(group).push(block)
  }
  return [...groups].flatMap(([group, members]) => spellGroup(group, members, chosen)).join(',')
}

function spellGroup(group, members, chosen) {
  const runs = []
  for (const block of members) {
    const run = runs.at(-1)
    if (!chosen.has(block)) runs.push(null)
    else if (run && run.weight === chosen.get(block)) run.blocks.push(block)
    else runs.push({ weight: chosen.get(block), blocks: [block] })
  }
  return runs.filter(Boolean).map((run) => spellRun(group, run, members))
}

function spellRun(group, { weight, blocks }, members) {
  const suffix = weight === 1 ? '' : `:${weight}`
  if (group && blocks.length === members.length) return group + suffix
  const [first, last] = [blocks[0], blocks.at(-1)].map((block) => splitBlock(block)[1])
  const prefix = group ? `${group}.` : ''
  return prefix + (first === last ? first : `${first}-${last}`) + suffix
}
