import { DataError } from "../../core/errors.ts";
import { SetTest } from "../code-point-set.ts";
import type { CompiledRegex, Program, Step } from "./compile.ts";
import { WORD } from "./properties.ts";
import type { Place } from "./syntax.ts";

/** Work allowed for a text: so much, and so much more a character. A published pattern needs about 10 a character. */
const FREE_STEPS = 10_000_000;
const STEPS_PER_CHARACTER = 100;

/** Numbers of one entry of the stack. */
const ENTRY = 4;
const RESUME = 0;
const SHRINK = 1;
const RESTORE = 2;

const IS_WORD = new SetTest(WORD);

/**
 * Finds matches by backtracking, on a stack of its own, and counts its steps: a pattern that explodes on a text is an
 * error after about a second, whatever the pattern.
 */
export class Matcher {
  /** Where the match found last begins and ends. */
  start = 0;
  end = 0;
  readonly #regex: CompiledRegex;
  readonly #where: string;
  readonly #slots: Int32Array;
  #text = "";
  #stack: Int32Array<ArrayBuffer> = new Int32Array(ENTRY * 64);
  #top = 0;
  #searchStart = 0;
  #stepsLeft = 0;

  constructor(regex: CompiledRegex, where: string) {
    this.#regex = regex;
    this.#where = where;
    this.#slots = new Int32Array(regex.numSlots);
  }

  /** Begins a text. */
  setText(text: string): void {
    this.#text = text;
    this.#stepsLeft = FREE_STEPS + STEPS_PER_CHARACTER * text.length;
  }

  /**
   * Finds the first match that begins at `from` or later.
   *
   * @throws {DataError} if that takes unreasonably long.
   */
  find(from: number): boolean {
    const { first, program } = this.#regex;
    const text = this.#text;
    this.#searchStart = from;
    for (let at = from; at <= text.length; ) {
      const point = text.codePointAt(at) ?? -1;
      if (first === undefined || (point >= 0 && first.has(point))) {
        this.#slots.fill(-1, 0, 20);
        this.#top = 0;
        const end = this.#run(program, at);
        if (end >= 0) {
          this.start = at;
          this.end = end;
          return true;
        }
      }
      this.#spend(1);
      at += point > 0xffff ? 2 : 1;
    }
    return false;
  }

  /** Where a match of `program` that begins at `at` ends; -1 if there is none. */
  #run(program: Program, at: number): number {
    const base = this.#top;
    let pos = at;
    let counter = 0;
    for (;;) {
      const step = program[counter]!;
      if (step.op === "match") {
        this.#top = base;
        return pos;
      }
      this.#spend(1);
      const next = this.#perform(step, counter, pos);
      if (next >= 0) {
        pos = next;
        counter = this.#next;
        continue;
      }
      if (!this.#backtrack(base)) return -1;
      pos = this.#resumeAt;
      counter = this.#next;
    }
  }

  /** The step to go on with, set by the last `#perform` or `#backtrack`. */
  #next = 0;
  #resumeAt = 0;

  /** Where the text is read next, -1 if the step fails. */
  #perform(step: Step, counter: number, pos: number): number {
    this.#next = counter + 1;
    switch (step.op) {
      case "set": {
        const point = this.#text.codePointAt(pos) ?? -1;
        return point >= 0 && step.test.has(point) ? pos + (point > 0xffff ? 2 : 1) : -1;
      }
      case "run":
        return this.#performRun(step, counter, pos);
      case "split":
        this.#push(RESUME, step.second, pos, 0);
        this.#next = step.first;
        return pos;
      case "jump":
        this.#next = step.to;
        return pos;
      case "place":
        return this.#isAt(step.place, pos) ? pos : -1;
      case "save":
        this.#push(RESTORE, step.slot, this.#slots[step.slot]!, 0);
        this.#slots[step.slot] = pos;
        return pos;
      case "turn":
        this.#next = this.#slots[step.slot] === pos ? step.past : step.again;
        return pos;
      case "look":
      case "atomic":
        return this.#performInner(step, counter, pos);
      case "back-reference":
        return this.#performReference(step.index, pos);
      case "match":
        return pos;
    }
  }

  #performRun({ test, min, max, possessive }: Step & { op: "run" }, counter: number, start: number): number {
    const text = this.#text;
    let pos = start;
    let least = start;
    for (let count = 0; count < max && pos < text.length; count++) {
      const point = text.codePointAt(pos)!;
      if (!test.has(point)) break;
      pos += point > 0xffff ? 2 : 1;
      if (count < min) least = pos;
    }
    this.#spend((pos - start) >> 3);
    if (min > 0 && (least === start || !this.#hasAtLeast(start, pos, min))) return -1;
    if (!possessive && pos > least) this.#push(SHRINK, counter + 1, pos, least);
    return pos;
  }

  #hasAtLeast(start: number, end: number, count: number): boolean {
    if (end - start >= 2 * count) return true;
    let seen = 0;
    for (let at = start; at < end && seen < count; seen++) at += this.#text.codePointAt(at)! > 0xffff ? 2 : 1;
    return seen >= count;
  }

  #performInner(step: Step & { op: "look" | "atomic" }, counter: number, pos: number): number {
    const from = step.op === "look" ? this.#backwards(pos, step.behind) : pos;
    const end = from < 0 ? -1 : this.#run(step.program, from);
    this.#next = counter + 1;
    if (step.op === "atomic") return end;
    return end >= 0 !== step.negative ? pos : -1;
  }

  /** `count` characters before `pos`, -1 if there are not so many. */
  #backwards(pos: number, count: number): number {
    let at = pos;
    for (let i = 0; i < count; i++) {
      if (at === 0) return -1;
      at = before(this.#text, at);
    }
    return at;
  }

  #performReference(index: number, pos: number): number {
    const start = this.#slots[2 * index]!;
    const end = this.#slots[2 * index + 1]!;
    if (start < 0 || end < start) return -1;
    this.#spend((end - start) >> 3);
    return this.#text.startsWith(this.#text.slice(start, end), pos) ? pos + end - start : -1;
  }

  #isAt(place: Place, pos: number): boolean {
    const text = this.#text;
    switch (place) {
      case "line-start":
        return pos === 0 || (text[pos - 1] === "\n" && pos < text.length);
      case "line-end":
        return pos === text.length || text[pos] === "\n";
      case "text-start":
        return pos === 0;
      case "text-end":
        return pos === text.length;
      case "text-end-or-newline":
        return pos === text.length || (pos === text.length - 1 && text[pos] === "\n");
      case "search-start":
        return pos === this.#searchStart;
      case "word-border":
        return this.#isWord(pos - 1, pos) !== this.#isWord(pos, pos);
      case "no-word-border":
        return this.#isWord(pos - 1, pos) === this.#isWord(pos, pos);
    }
  }

  /** Whether the character before `border`, or from it on, is one of a word. */
  #isWord(at: number, border: number): boolean {
    if (at < 0 || at >= this.#text.length) return false;
    return IS_WORD.has(this.#text.codePointAt(at < border ? before(this.#text, border) : at)!);
  }

  #push(kind: number, counter: number, pos: number, least: number): void {
    if (this.#top + ENTRY > this.#stack.length) {
      const larger = new Int32Array(this.#stack.length * 2);
      larger.set(this.#stack);
      this.#stack = larger;
    }
    const stack = this.#stack;
    stack[this.#top] = kind;
    stack[this.#top + 1] = counter;
    stack[this.#top + 2] = pos;
    stack[this.#top + 3] = least;
    this.#top += ENTRY;
  }

  /** Goes back to the last choice; false if there is none left. */
  #backtrack(base: number): boolean {
    const stack = this.#stack;
    while (this.#top > base) {
      const top = this.#top - ENTRY;
      const pos = stack[top + 2]!;
      if (stack[top] === RESTORE) {
        this.#slots[stack[top + 1]!] = pos;
        this.#top = top;
        continue;
      }
      this.#next = stack[top + 1]!;
      this.#resumeAt = pos;
      if (stack[top] === RESUME) this.#top = top;
      else {
        this.#resumeAt = before(this.#text, pos);
        if (this.#resumeAt > stack[top + 3]!) stack[top + 2] = this.#resumeAt;
        else this.#top = top;
      }
      return true;
    }
    return false;
  }

  #spend(steps: number): void {
    this.#stepsLeft -= steps;
    if (this.#stepsLeft >= 0) return;
    throw new DataError({
      where: this.#where,
      expected: "a pattern that is done with a text in reasonable time",
      got: `${this.#text.length} characters that it tries over and over`,
    });
  }
}

/** Start of the character that ends at `pos`. */
function before(text: string, pos: number): number {
  const low = text.charCodeAt(pos - 1);
  const isPair = low >= 0xdc00 && low < 0xe000 && pos > 1 && (text.charCodeAt(pos - 2) & 0xfc00) === 0xd800;
  return isPair ? pos - 2 : pos - 1;
}
