/** What is known, before anything runs, of the adapter and the model that meet in an Apply node. */

import { adapterNames, modelFiles } from './graph.js'

/** {loaders, adapter, model, misfit}. loaders: the nodes the adapter comes from. adapter, model:
 * their facts, or null where unknown. misfit: see below. */
export function meeting({ app, facts }, node) {
  const sources = adapterNames(app, node) ?? []
  const adapters = sources.map((source) => facts.adapter(source.name, source.architecture))
  const model = onlyOne(modelFiles(app, node)?.map((file) => facts.model(file)) ?? [])
  return {
    loaders: sources.map(({ loader }) => loader),
    adapter: adapters[0] ?? null,
    model,
    misfit: adapters.map((adapter) => misfitOf(adapter, model)).find(Boolean) ?? null
  }
}

/** The models that are merged are of one kind, or else it is not known what comes out. */
function onlyOne(models) {
  const kinds = new Set(models.map((model) => JSON.stringify([model?.family, model?.blocks])))
  return kinds.size === 1 && models[0]?.architecture ? models[0] : null
}

/** Both families where the adapter cannot act on the model; null where it can, or where either is
 * not known. The server refuses the same cases when the node runs (injection/patching.py). */
function misfitOf(adapter, model) {
  if (!adapter?.architecture || !model) return null
  const fits =
    adapter.architecture === model.architecture &&
    model.widths.includes(adapter.width) &&
    (adapter.offset_width === null || adapter.offset_width === model.offset_width) &&
    adapter.depth <= model.blocks.length
  return fits ? null : { adapter: adapter.family, model: model.family, file: model.name }
}
