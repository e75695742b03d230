import { FormatError } from "../../core/errors.ts";
import { type CodePointSet, SetTest, union } from "../code-point-set.ts";
import { type Place, type RegexNode, widthOf } from "./syntax.ts";

/** Steps of a program for {@link Matcher}. */
export type Step =
  | { readonly op: "set"; readonly test: SetTest }
  /** A repetition of single characters: the common case, run without steps of its own. */
  | {
      readonly op: "run";
      readonly test: SetTest;
      readonly min: number;
      readonly max: number;
      readonly possessive: boolean;
    }
  | { readonly op: "split"; readonly first: number; readonly second: number }
  | { readonly op: "jump"; readonly to: number }
  | { readonly op: "place"; readonly place: Place }
  | { readonly op: "look"; readonly program: Program; readonly behind: number; readonly negative: boolean }
  | { readonly op: "atomic"; readonly program: Program }
  | { readonly op: "save"; readonly slot: number }
  /** The end of a repeated part that may be empty: an empty turn ends the repetition. */
  | { readonly op: "turn"; readonly slot: number; readonly again: number; readonly past: number }
  | { readonly op: "back-reference"; readonly index: number }
  | { readonly op: "match" };

/** Steps, begun at the first. */
export type Program = readonly Step[];

/** Published patterns need up to 600 steps, and one of them 1,100. */
const MAX_STEPS = 40_000;
const MAX_SETS = 500;
/** A reference has one digit. */
const MAX_CAPTURE = 9;

/**
 * Translates a parsed expression into steps.
 *
 * @throws {FormatError} if it takes too many, or what is behind a place is not of one width.
 */
export function compileRegex(node: RegexNode, where: string): CompiledRegex {
  const compiler = new Compiler(where);
  const program = compiler.program(node);
  const first = firstOf(node);
  return {
    program,
    numSlots: compiler.numSlots,
    first: first.isOptional ? undefined : new SetTest(first.set),
  };
}

/** A program, and what it takes to run it. */
export interface CompiledRegex {
  readonly program: Program;
  /** Places that `save` writes to. */
  readonly numSlots: number;
  /** What a match can begin with; undefined if it may be empty or that is not known. */
  readonly first: SetTest | undefined;
}

/** Characters a node can begin with; `isOptional` if it can also match without taking one. */
function firstOf(node: RegexNode): { readonly set: CodePointSet; readonly isOptional: boolean } {
  switch (node.kind) {
    case "set":
      return { set: node.set, isOptional: false };
    case "sequence": {
      const sets: CodePointSet[] = [];
      for (const part of node.parts) {
        const { set, isOptional } = firstOf(part);
        sets.push(set);
        if (!isOptional) return { set: union(sets), isOptional: false };
      }
      return { set: union(sets), isOptional: true };
    }
    case "choice": {
      const firsts = node.options.map(firstOf);
      return { set: union(firsts.map(({ set }) => set)), isOptional: firsts.some((one) => one.isOptional) };
    }
    case "repeat": {
      const { set, isOptional } = firstOf(node.body);
      return { set, isOptional: isOptional || node.min === 0 };
    }
    case "capture":
    case "atomic":
      return firstOf(node.body);
    case "back-reference":
      return { set: [0, 0x110000], isOptional: true };
    default:
      return { set: [], isOptional: true };
  }
}

class Compiler {
  numSlots = 20;
  readonly #where: string;
  readonly #tests = new Map<string, SetTest>();
  #numSteps = 0;

  constructor(where: string) {
    this.#where = where;
  }

  program(node: RegexNode): Program {
    const steps: Step[] = [];
    this.#emit(node, steps);
    this.#add(steps, { op: "match" });
    return steps;
  }

  #emit(node: RegexNode, steps: Step[]): void {
    this.#count();
    switch (node.kind) {
      case "set":
        this.#add(steps, { op: "set", test: this.#test(node.set) });
        return;
      case "sequence":
        for (const part of node.parts) this.#emit(part, steps);
        return;
      case "choice":
        this.#emitChoice(node.options, steps);
        return;
      case "repeat":
        this.#emitRepeat(node, steps);
        return;
      case "capture":
        if (node.index > MAX_CAPTURE) {
          this.#emit(node.body, steps);
          return;
        }
        this.#add(steps, { op: "save", slot: 2 * node.index });
        this.#emit(node.body, steps);
        this.#add(steps, { op: "save", slot: 2 * node.index + 1 });
        return;
      case "back-reference":
        this.#add(steps, { op: "back-reference", index: node.index });
        return;
      case "look":
        this.#emitLook(node, steps);
        return;
      case "atomic":
        this.#add(steps, { op: "atomic", program: this.program(node.body) });
        return;
      case "place":
        this.#add(steps, { op: "place", place: node.place });
        return;
    }
  }

  #emitChoice(options: readonly RegexNode[], steps: Step[]): void {
    const ends: number[] = [];
    for (const [i, option] of options.entries()) {
      const isLast = i === options.length - 1;
      const split = steps.length;
      if (!isLast) this.#add(steps, { op: "jump", to: -1 });
      this.#emit(option, steps);
      if (isLast) break;
      ends.push(steps.length);
      this.#add(steps, { op: "jump", to: -1 });
      steps[split] = { op: "split", first: split + 1, second: steps.length };
    }
    for (const end of ends) steps[end] = { op: "jump", to: steps.length };
  }

  #emitRepeat({ body, min, max, mode }: RegexNode & { kind: "repeat" }, steps: Step[]): void {
    if (body.kind === "set" && mode !== "lazy") {
      const test = this.#test(body.set);
      this.#add(steps, { op: "run", test, min, max, possessive: mode === "possessive" });
      return;
    }
    if (mode === "possessive") {
      const greedy: RegexNode = { kind: "repeat", body, min, max, mode: "greedy" };
      this.#add(steps, { op: "atomic", program: this.program(greedy) });
      return;
    }
    for (let i = 0; i < min; i++) this.#emit(body, steps);
    const fork = (at: number, into: number, past: number): void => {
      const [first, second] = mode === "lazy" ? [past, into] : [into, past];
      steps[at] = { op: "split", first, second };
    };
    if (max === Number.POSITIVE_INFINITY) {
      const start = steps.length;
      const slot = this.numSlots++;
      this.#add(steps, { op: "jump", to: -1 });
      this.#add(steps, { op: "save", slot });
      this.#emit(body, steps);
      this.#add(steps, { op: "turn", slot, again: start, past: steps.length + 1 });
      fork(start, start + 1, steps.length);
      return;
    }
    const forks: number[] = [];
    for (let i = min; i < max; i++) {
      forks.push(steps.length);
      this.#add(steps, { op: "jump", to: -1 });
      this.#emit(body, steps);
    }
    for (const at of forks) fork(at, at + 1, steps.length);
  }

  #emitLook({ body, behind, negative }: RegexNode & { kind: "look" }, steps: Step[]): void {
    if (!behind) {
      this.#add(steps, { op: "look", program: this.program(body), behind: 0, negative });
      return;
    }
    const { min, max } = widthOf(body);
    if (min !== max || max > 255) {
      const got = `${min} to ${max}`;
      throw new FormatError({ where: this.#where, expected: "a look-behind of one width", got });
    }
    // The body has one width, so wherever it matches it ends where the look began.
    this.#add(steps, { op: "look", program: this.program(body), behind: max, negative });
  }

  #test(set: CodePointSet): SetTest {
    const key = set.join(",");
    const known = this.#tests.get(key);
    if (known) return known;
    const test = new SetTest(set);
    this.#tests.set(key, test);
    if (this.#tests.size <= MAX_SETS) return test;
    const expected = `at most ${MAX_SETS} different sets of characters`;
    throw new FormatError({ where: this.#where, expected, got: "more" });
  }

  #add(steps: Step[], step: Step): void {
    steps.push(step);
    this.#count();
  }

  /** Counts nodes too: a repeated nothing has no steps, and takes time all the same. */
  #count(): void {
    if (++this.#numSteps <= MAX_STEPS) return;
    throw new FormatError({
      where: this.#where,
      expected: "a pattern of moderate size",
      got: "a larger one",
    });
  }
}
