/** The pictures of pairs, loaded before they are needed and shown only when both are there. */

import { Refused } from './outbox.js'

const SIDES = ['left', 'right']

export class Pairs {
  #loaded = new Map() // ballot -> promise of two decoded pictures

  /** Loads these ballots' pictures in order and lets go of all others. */
  want(trial, ballots) {
    const wanted = new Set(ballots.map(({ ballot }) => ballot))
    for (const [ballot, pictures] of this.#loaded) {
      if (wanted.has(ballot)) continue
      this.#loaded.delete(ballot)
      pictures.then((urls) => urls.forEach(URL.revokeObjectURL), () => {})
    }
    let before = Promise.resolve()
    for (const ballot of wanted) {
      if (!this.#loaded.has(ballot)) {
        const start = before
        this.#loaded.set(ballot, start.then(() => load(trial, ballot)))
      }
      before = this.#loaded.get(ballot).catch(() => {})
    }
  }

  /** Addresses of the two pictures, both ready to be painted. Throws as `load` does. */
  async get(ballot) {
    return this.#loaded.get(ballot)
  }

  /** After a failure, so that the next `want` tries again. */
  forget(ballot) {
    this.#loaded.delete(ballot)
  }
}

/** Throws Refused where a picture is not to be had, a TypeError where the server is not reached. */
async function load(trial, ballot) {
  return Promise.all(SIDES.map(async (side) => {
    const query = new URLSearchParams({ trial, ballot, side })
    const response = await fetch(`picture?${query}`)
    if (!response.ok) throw new Refused(response.status, '')
    const url = URL.createObjectURL(await response.blob())
    const picture = new Image()
    picture.src = url
    await picture.decode().catch(() => { throw new Refused(404, '') })
    return url
  }))
}
