/** What feeds a node, as far as the graph tells before it runs. Anything not understood is given as
 * unknown (null), never guessed. */

const NEVER = 2
const BYPASS = 4
const SUBGRAPH_INPUT = -10
const SUBGRAPH_OUTPUT = -20
const DEEPEST = 200
const MODEL_FILES = { ckpt_name: 'checkpoints', unet_name: 'diffusion_models' }

/** Every node on the canvas and in its subgraphs. */
export function allNodes(app) {
  const root = app.rootGraph ?? app.graph
  if (!root) return []
  return [root, ...(root.subgraphs?.values() ?? [])].flatMap((graph) => graph.nodes ?? [])
}

export function widgetOf(node, name) {
  return node.widgets?.find((widget) => widget.name === name)
}

/** Whether a widget's value comes over a link instead. */
export function isLinked(node, name) {
  const slot = (node.inputs ?? []).findIndex((input) => (input.widget?.name ?? input.name) === name)
  return slot >= 0 && node.isInputConnected(slot)
}

/** The adapter files, {loader, name, architecture}, that reach this node's `adapter` input, or null. */
export function adapterNames(app, node) {
  return collect(app, node, 'SOFTREPA', (origin) =>
    origin.comfyClass === 'SoftREPALoader'
      ? { loader: origin, ...chosen(origin, 'adapter'), architecture: statedBy(origin) }
      : null
  )
}

/** What a loader says its adapter is for; undefined where it leaves that to the file. */
export function statedBy(loader) {
  const { value, options } = widgetOf(loader, 'architecture') ?? {}
  const known = options?.values?.includes?.(value) && value !== 'auto'
  return known && !isLinked(loader, 'architecture') ? value : undefined
}

/** The model files, {folder, name}, that reach this node's `model` input, or null. */
export function modelFiles(app, node) {
  return collect(app, node, 'MODEL', (origin) => {
    for (const [widget, folder] of Object.entries(MODEL_FILES)) {
      if (widgetOf(origin, widget)) return { folder, ...chosen(origin, widget) }
    }
    return null
  })
}

/** The file a loader's list is set to; name is null where it is linked or not on this server. */
function chosen(node, name) {
  const { value, options } = widgetOf(node, name) ?? {}
  const known = Array.isArray(options?.values) && options.values.includes(value)
  return { name: known && !isLinked(node, name) ? value : null }
}

/** Follows links of one type upstream to their sources. `sourceOf` tells what a node without such
 * an input is; null from it, or a dead end, makes the whole answer null. */
function collect(app, node, type, sourceOf) {
  const found = []
  const open = [node]
  const seen = new Set(open)
  while (open.length) {
    const current = open.pop()
    const origins = slotsOf(current, type).flatMap((slot) => feeding(app, current, slot))
    if (!origins.length) return null
    for (const origin of origins) {
      if (!origin || seen.size > DEEPEST) return null
      if (seen.has(origin)) continue
      seen.add(origin)
      if (slotsOf(origin, type).length) {
        open.push(origin)
        continue
      }
      const source = sourceOf(origin)
      if (!source?.name) return null
      found.push(source)
    }
  }
  return found
}

/** The inputs of one type, as slot numbers. */
function slotsOf(node, type) {
  return (node.inputs ?? []).flatMap((input, slot) => (input.type === type ? [slot] : []))
}

/** The nodes whose output reaches this input slot: none where nothing is connected, a null among
 * them where that cannot be told. A subgraph that is used twice can give several. */
export function feeding(app, node, slot, depth = 0) {
  if (!(slot >= 0)) return []
  if (!node.graph || depth > DEEPEST) return [null]
  const link = linkInto(node.graph, node.id, slot)
  return link ? outputOf(app, node.graph, link.origin_id, link.origin_slot, depth + 1) : []
}

/** The link that ends at this slot. Neither end's own record of it is asked: front-ends differ in
 * what that holds, and newer ones warn of its use. Ids are numbers in older ones, texts in newer. */
function linkInto(graph, id, slot) {
  const { links } = graph
  const all = typeof links?.values === 'function' ? links.values() : Object.values(links ?? {})
  for (const link of all) {
    if (String(link.target_id) === String(id) && link.target_slot === slot) return link
  }
  return null
}

function outputOf(app, graph, id, slot, depth) {
  if (Number(id) === SUBGRAPH_INPUT) {
    const outside = allNodes(app).filter((node) => node.subgraph === graph)
    return outside.flatMap((node) => feeding(app, node, slot, depth))
  }
  const node = graph.getNodeById(id)
  if (!node || node.mode === NEVER) return [null]
  if (node.mode === BYPASS) return feeding(app, node, sameType(node, slot), depth)
  if (node.subgraph) {
    return feeding(app, { graph: node.subgraph, id: SUBGRAPH_OUTPUT }, slot, depth)
  }
  if (/reroute/i.test(node.type)) return feeding(app, node, 0, depth)
  return [node.isVirtualNode ? null : node]
}

/** The input that a bypassed node passes on to this output. */
function sameType(node, slot) {
  const { type } = node.outputs[slot]
  const [first = -1] = slotsOf(node, type)
  return node.inputs?.[slot]?.type === type ? slot : first
}
