// What the demonstration says, and what it has seen. Runs in the demonstration's own process; knows nothing of servers.

import { setTimeout as sleep } from 'node:timers/promises';

/** Colours for somebody who watches, unless they say no (https://no-color.org). */
const colours = process.stdout.isTTY && !process.env['NO_COLOR'];
const paint = (/** @type {number} */ code) => (/** @type {string} */ text) => (colours ? `\x1b[${code}m${text}\x1b[0m` : text);
const bold = paint(1);
const dim = paint(2);
const red = paint(31);
const green = paint(32);
const cyan = paint(36);

const WIDTH = 96;

/** Lines of at most WIDTH characters, broken between words. @param {string} text @param {string} indent */
function wrap(text, indent) {
  /** @type {string[]} */
  const lines = [];
  for (const word of text.split(/\s+/)) {
    const line = lines.at(-1);
    if (line === undefined || line.length + word.length + 1 > WIDTH - indent.length) lines.push(word);
    else lines[lines.length - 1] = `${line} ${word}`;
  }
  return lines.map((line) => `${indent}${line}\n`).join('');
}

/** Something that should have been seen was not. */
export class NotSeen extends Error {}

/** The narrator. What is to be seen is a list from the beginning, so that a demonstration that breaks off can say what it has not come to. */
export class Stage {
  /** @type {Readonly<Record<string, string>>} */
  #titles;
  /** By its short name: true seen, false under way or not seen, null not come to. @type {Map<string, boolean | null>} */
  #acts;
  #act = '';
  #number = 0;
  muted = false;

  /** @param {Readonly<Record<string, string>>} titles of the acts, in order, by their short names */
  constructor(titles) {
    this.#titles = titles;
    this.#acts = new Map(Object.keys(titles).map((act) => [act, null]));
  }

  /** @param {string} text */
  write(text) {
    if (!this.muted) process.stdout.write(text);
  }

  /** @param {string} text */
  say(text) {
    this.write(wrap(text, '   '));
  }

  /** Runs one act; whatever it throws is what was missing. @param {string} act its short name @param {() => Promise<void>} body */
  async act(act, body) {
    this.#act = act;
    this.#acts.set(act, false);
    this.write(`\n${bold(`${++this.#number}. ${this.#titles[act]}`)}\n`);
    await body();
    this.#acts.set(act, true);
    // Who watches should have the time to read; who reads the output later has it anyway.
    if (process.stdout.isTTY) await sleep(1200);
  }

  /** A command that the reader could type. @param {string} command */
  command(command) {
    this.write(`   ${cyan('$')} ${cyan(command)}\n`);
  }

  /** What something printed, or a log said. @param {string} text */
  quote(text) {
    for (const line of text.trimEnd().split('\n')) this.write(dim(`   | ${line}`).trimEnd() + '\n');
  }

  /** PostgreSQL's rule behind what was just seen. @param {string} text */
  rule(text) {
    this.write(`   ${bold('Rule:')} ${wrap(text, '         ').trimStart()}`);
  }

  /** Claims what must hold. @param {boolean} holds @param {string} what */
  seen(holds, what) {
    if (!holds) throw new NotSeen(what);
    this.write(`   ${green('✓')} ${what}\n`);
  }

  /**
   * Waits until `look` returns something true, and returns that. What is waited for is said, and on a terminal dots show that time goes by.
   * @template T
   * @param {string} what
   * @param {() => T | Promise<T>} look
   * @param {number} [seconds]
   * @returns {Promise<NonNullable<T>>}
   */
  async waitFor(what, look, seconds = 20) {
    const started = performance.now();
    const announced = () => performance.now() - started > 300;
    let dots = 0;
    try {
      for (;;) {
        const result = await look();
        if (result) return result;
        if (performance.now() - started > seconds * 1000) throw new NotSeen(`${what} (waited for ${seconds} s)`);
        if (announced() && dots === 0) this.write(dim(`   … waiting: ${what} `) + (process.stdout.isTTY ? '' : '\n'));
        if (announced() && dots++ % 5 === 0 && process.stdout.isTTY) this.write(dim('.'));
        await sleep(50);
      }
    } finally {
      if (dots > 0 && process.stdout.isTTY) this.write('\n');
    }
  }

  /** The line at the end. Returns whether all was seen. @param {unknown} failure what broke the demonstration off @param {number} seconds */
  summary(failure, seconds) {
    const marks = [...this.#acts].map(([act, seen]) => {
      if (seen) return `${green('✓')} ${act}`;
      return seen === false ? `${red('✗')} ${act}` : dim(`– ${act}`);
    });
    this.write(`\n${marks.join('  ')}\n`);
    const all = failure === undefined && [...this.#acts.values()].every((seen) => seen === true);
    if (all) this.write(`${bold(green(`All of it was seen, in ${seconds.toFixed(0)} seconds.`))}\n`);
    else if (failure instanceof NotSeen) this.write(`${bold(red(`Not seen (${this.#act}): ${failure.message}`))}\n`);
    else this.write(`${bold(red(`Failed (${this.#act}): ${describe(failure)}`))}\n`);
    return all;
  }
}

/** An error with what it has of detail and hint. @param {unknown} err */
function describe(err) {
  if (!(err instanceof Error)) return String(err);
  const { detail, hint } = /** @type {Error & { detail?: string; hint?: string }} */ (err);
  return [err.message, detail && `DETAIL: ${detail}`, hint && `HINT: ${hint}`].filter(Boolean).join('\n');
}
