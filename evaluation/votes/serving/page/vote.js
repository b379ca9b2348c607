/** The voting page: a name, then pair after pair. It knows of no arm and of no result. */

import { Outbox, Refused, ask, newId } from './outbox.js'
import { Pairs } from './pairs.js'
import { remember, remembered } from './remembered.js'
import { choose, languages, say } from './texts.js'

const REST = 250 // milliseconds that a new pair takes no vote: a double tap is one vote
const KEYS = { ArrowLeft: 'left', ArrowRight: 'right', ArrowUp: 'tie', ArrowDown: 'both_bad' }
const $ = (id) => document.getElementById(id)
const images = [...document.querySelectorAll('#pictures img')]
const buttons = [...document.querySelectorAll('#vote [data-answer]')]

const pairs = new Pairs()
const outbox = new Outbox({
  onState: take,
  onTrouble: (waiting) => notice(waiting ? 'waiting' : null),
  onRefused: (error) => refused(error)
})
let language = choose([remembered('language'), ...navigator.languages])
let trial, voter, seen // seen: the ballot on the screen, or null
let state = { answered: 0, goal: 0, last: null, ballots: [] }
let open = false // whether the pair on the screen takes a vote
let beyond = false // the voter goes on after the goal
let undoing = false
let listed = null // promise of the list of trials
const broken = new Set() // ballots whose pictures cannot be had

/* Words */

const t = (key, values) => say(language, key, values)

function translate() {
  document.documentElement.lang = language
  document.title = t('title')
  for (const one of document.querySelectorAll('[data-text]')) one.textContent = t(one.dataset.text)
  for (const one of document.querySelectorAll('[data-alt]')) one.alt = t(one.dataset.alt)
  for (const one of document.querySelectorAll('[data-label]')) {
    one.setAttribute('aria-label', t(one.dataset.label))
  }
}

/** Shows a text of the table, or a sentence of the server; null: nothing. */
function notice(key, sentence) {
  $('notice').hidden = !key && !sentence
  $('notice').textContent = sentence ?? (key ? t(key) : '')
}

/* Start */

async function begin() {
  translate()
  for (const [code, name] of Object.entries(languages)) {
    $('language').add(new Option(name, code, false, code === language))
  }
  $('voter').value = remembered('voter') ?? ''
  show('start')
  $('voter').focus()
  await list().catch(unanswered)
}

/** Fills the list of trials; asked for again only where it did not come, or was empty. */
function list() {
  listed ??= ask('trials').then((trials) => {
    for (const { id, name } of trials) $('trial').add(new Option(name, id))
    $('trial-row').hidden = trials.length < 2
    if (trials.length) return
    listed = null
    notice('empty')
  }).catch((error) => {
    listed = null
    throw error
  })
  return listed
}

function unanswered(error) {
  notice('waiting', error instanceof Refused ? error.message : undefined)
}

$('language').addEventListener('change', () => {
  language = $('language').value
  remember('language', language)
  translate()
})

document.querySelector('#start form').addEventListener('submit', async (event) => {
  event.preventDefault()
  notice(null)
  try {
    await list() // whoever is quick is here before it
    trial = $('trial').value
    if (!trial) return notice('empty')
    await outbox.send() // what an earlier visit could not send
    const answer = await ask('start', { trial, voter: $('voter').value })
    voter = answer.voter
    remember('voter', voter)
    beyond = answer.answered >= answer.goal
    if (answer.ballots.length || answer.answered) take(answer)
    else notice('empty')
  } catch (error) {
    unanswered(error)
  }
})

/* Pair after pair */

/** Takes what the server says as the state; votes that it does not have yet are added to it. */
function take(answer) {
  if (!voter) return
  const ahead = outbox.length
  state = {
    ...answer,
    answered: answer.answered + ahead,
    last: ahead ? state.last : answer.last,
    ballots: answer.ballots.filter(({ ballot }) => !outbox.has(ballot) && !broken.has(ballot))
  }
  pairs.want(trial, state.ballots)
  next()
}

/** Shows the first pair of the state, unless it is on the screen already. */
async function next() {
  const done = state.answered
  $('progress').max = state.goal
  $('progress').value = Math.min(done, state.goal)
  $('count').textContent = t(done < state.goal ? 'count' : 'beyond', { done, goal: state.goal })
  $('undo').disabled = $('end-undo').disabled = !state.last || undoing
  const [first] = state.ballots
  if (!first && outbox.length) return wait() // more pairs come with the answer to a vote
  if (!first) return end('exhausted')
  if (done >= state.goal && !beyond && !outbox.length) return end('reached')
  show('vote')
  if (seen === first.ballot) return
  wait()
  seen = first.ballot
  $('prompt').textContent = first.prompt
  try {
    const urls = await pairs.get(first.ballot)
    if (seen !== first.ballot) return
    images.forEach((image, side) => { image.src = urls[side] })
    $('pictures').classList.add('ready')
    setTimeout(() => { if (seen === first.ballot) enable(true) }, REST)
  } catch (error) {
    if (seen === first.ballot) failed(first.ballot, error)
  }
}

/** An empty place for the next pair; nothing of one side is seen before the other. */
function wait() {
  enable(false)
  seen = null
  $('pictures').classList.remove('ready')
  for (const image of images) image.removeAttribute('src')
}

/** A picture did not come: the next pair where there is none, else this one once more. */
function failed(ballot, error) {
  pairs.forget(ballot)
  seen = null
  const gone = error instanceof Refused && error.status < 500
  if (gone) broken.add(ballot)
  notice(gone ? 'gone' : 'waiting')
  setTimeout(async () => {
    try {
      const answer = await ask('start', { trial, voter })
      if (!gone) notice(null)
      take(answer)
    } catch (again) {
      failed(ballot, again)
    }
  }, 1500)
}

function enable(on) {
  open = on
  for (const button of buttons) button.disabled = !on
}

function vote(answer) {
  if (!open || undoing) return
  const [{ ballot }] = state.ballots
  const id = newId()
  state = {
    ...state, answered: state.answered + 1, last: id, ballots: state.ballots.slice(1)
  }
  outbox.add({ trial, voter, id, ballot, answer })
  document.activeElement?.blur() // no button keeps the look of having been chosen
  if ($('notice').textContent === t('gone')) notice(null)
  next()
}

async function undo() {
  if (!state.last || undoing) return
  undoing = true
  enable(false)
  $('undo').disabled = $('end-undo').disabled = true
  try {
    await outbox.send()
    const answer = await ask('undo', { trial, voter, id: state.last })
    undoing = false
    wait()
    take(answer)
  } catch (error) {
    undoing = false
    enable(Boolean(seen))
    refused(error)
  }
}

/** The server will not do it: say so and go by what it has. */
async function refused(error) {
  const known = error instanceof Refused
  if (!known || error.status !== 409) notice('waiting', known ? error.message : undefined)
  if (!known || !voter) return
  try {
    take(await ask('start', { trial, voter }))
  } catch {
    notice('waiting')
  }
}

function end(key) {
  wait()
  $('end-text').textContent = t(key, { done: state.answered })
  $('more').hidden = key === 'exhausted'
  show('end')
}

$('more').addEventListener('click', () => { beyond = true; next() })
$('undo').addEventListener('click', undo)
$('end-undo').addEventListener('click', undo)
for (const button of buttons) button.addEventListener('click', () => vote(button.dataset.answer))

addEventListener('keydown', (event) => {
  if ($('start').hidden === false || event.altKey || event.repeat) return
  const command = event.ctrlKey || event.metaKey
  if (event.key === 'Backspace' || (command && event.key === 'z')) undo()
  else if (!command && KEYS[event.key] && !$('vote').hidden) vote(KEYS[event.key])
  else return
  event.preventDefault()
})

/* Small things */

function show(id) {
  for (const one of document.querySelectorAll('main')) one.hidden = one.id !== id
}

begin()
