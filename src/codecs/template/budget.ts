import { fail } from "./values.ts";

/** Steps a template may take beyond what its input needs; a few tenths of a second. */
const BASE_STEPS = 1_500_000;

/** Characters copied for one step, which so bounds memory too. Items of lists, being larger, cost a step each. */
const CHARACTERS_A_STEP = 8;

/** Macros that call each other this deep are taken for endless. */
const MAX_DEPTH = 200;

/**
 * What a rendering may still use. Templates come from strangers: loops in loops, strings that double and macros
 * that call themselves end here, always at the same place, however slow the machine.
 */
export class Budget {
  #steps: number;
  #depth = 0;

  /** @param inputLength characters of the template and of what it is given */
  constructor(inputLength: number) {
    this.#steps = BASE_STEPS + 4 * inputLength;
  }

  /** Counts steps of work. */
  spend(steps: number): void {
    this.#steps -= steps;
    if (this.#steps < 0) fail("it takes too many steps: it loops, or builds something very large");
  }

  /** Counts characters about to be copied, before they are. */
  spendCopy(length: number): void {
    this.spend(Math.ceil(length / CHARACTERS_A_STEP));
  }

  /** Runs the body of a macro. */
  nested<T>(run: () => T): T {
    if (this.#depth === MAX_DEPTH) fail("its macros call each other too deeply");
    this.#depth++;
    try {
      return run();
    } finally {
      this.#depth--;
    }
  }
}
