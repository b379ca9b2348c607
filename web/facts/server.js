/** What the server tells about adapter and model files, kept until node definitions are refreshed. */

export class Facts {
  #api
  #changed
  #known = new Map()
  #old = new Set()

  /** changed: called when an answer has come. */
  constructor(api, changed) {
    this.#api = api
    this.#changed = changed
  }

  forget() {
    this.#known.clear()
    this.#old.clear()
  }

  /** Files change while the page is open: what is shown is asked anew, and known until the answer
   * is there. */
  renew() {
    this.#old = new Set(this.#known.keys())
    this.#changed()
  }

  /** The adapter's facts; {error} where it cannot be read; null while that is not known.
   * architecture: what the loader says it is for, where the file does not tell. */
  adapter(name, architecture) {
    return this.#ask('adapter', architecture ? { name, architecture } : { name })
  }

  /** The same for a model file; `architecture` is null where it was not recognised. */
  model({ folder, name }) {
    return this.#ask('model', { folder, name })
  }

  #ask(route, query) {
    const address = `/softrepa/${route}?${new URLSearchParams(query)}`
    if (!this.#known.has(address)) this.#known.set(address, null)
    else if (!this.#old.delete(address)) return this.#known.get(address)
    this.#load(address)
    return this.#known.get(address)
  }

  async #load(address) {
    let answer
    try {
      answer = await (await this.#api.fetchApi(address)).json()
    } catch {
      // The server is away; the nodes work without these panels.
      answer = this.#known.get(address) ?? { error: '' }
    }
    this.#known.set(address, answer)
    this.#changed()
  }
}
