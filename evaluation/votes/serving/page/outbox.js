/** Requests to the server, and votes on their way to it.
 *
 * A vote stays in the browser's storage until the server has said that it is kept, under an id made
 * here, so that sending it again makes no second vote of it. */

import { remember, remembered } from './remembered.js'

const STORED = `votes ${location.pathname}`
const ELSEWHERE = [403, 404] // another trial's server, or another link, at this address
const PAUSES = [500, 1000, 2000, 4000, 8000]

export class Refused extends Error {
  constructor(status, sentence) {
    super(sentence)
    this.status = status
  }
}

/** The server's answer. Throws Refused with its sentence, or a TypeError where it is not reached. */
export async function ask(path, body) {
  const options = body === undefined ? {} : {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(body)
  }
  const response = await fetch(path, options)
  const answer = await response.json().catch(() => ({ error: response.statusText }))
  if (!response.ok) throw new Refused(response.status, answer.error)
  return answer
}

export function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16)) // randomUUID is for https only
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('')
}

export class Outbox {
  #votes = read()
  #parked = new Set() // ids of votes that are not for this server now; kept for a later visit
  #sending = null

  /** onState(state): after each vote that the server kept. onTrouble(waiting): when it is not
   * reached, and when it is again. onRefused(error): it will not have a vote, and never would. */
  constructor({ onState, onTrouble, onRefused }) {
    Object.assign(this, { onState, onTrouble, onRefused })
  }

  /** Whether a vote on this ballot waits to be sent. */
  has(ballot) {
    return this.#votes.some((vote) => vote.ballot === ballot)
  }

  get length() {
    return this.#due().length
  }

  #due() {
    return this.#votes.filter(({ id }) => !this.#parked.has(id))
  }

  add(vote) {
    this.#votes.push(vote)
    this.#keep()
    return this.send()
  }

  /** Resolves when every vote has been sent. */
  send() {
    this.#sending ??= this.#sendAll().finally(() => { this.#sending = null })
    return this.#sending
  }

  async #sendAll() {
    for (let failures = 0; this.length;) {
      const [vote] = this.#due()
      try {
        const state = await ask('vote', vote)
        this.#drop(vote)
        failures = 0
        this.onTrouble(false)
        this.onState(state)
      } catch (error) {
        if (error instanceof Refused && error.status < 500) {
          if (ELSEWHERE.includes(error.status)) this.#parked.add(vote.id)
          else this.#drop(vote)
          this.onRefused(error)
          continue
        }
        this.onTrouble(true)
        await pause(PAUSES[Math.min(failures++, PAUSES.length - 1)])
      }
    }
  }

  #drop(vote) {
    this.#votes = this.#votes.filter(({ id }) => id !== vote.id)
    this.#keep()
  }

  #keep() {
    remember(STORED, JSON.stringify(this.#votes)) // without storage they are still sent from here
  }
}

/** Waits, or less where the browser comes back to the network first. */
function pause(milliseconds) {
  return new Promise((resolve) => {
    addEventListener('online', resolve, { once: true })
    setTimeout(resolve, milliseconds)
  })
}

function read() {
  try {
    const votes = JSON.parse(remembered(STORED))
    return Array.isArray(votes) ? votes : []
  } catch {
    return []
  }
}
