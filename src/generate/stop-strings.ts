/**
 * Passes text on until one of several stop strings is complete. Text that could still become one is held back, so no
 * part of a stop string ever gets out. Of several that occur, the one that is complete first counts: where the text was
 * cut into pieces makes no difference.
 *
 * @example
 * const stops = new StopStrings(["\n\n"]);
 * stops.push("one\n"); // => "one"
 * stops.push("two\n\nthree"); // => "\ntwo"
 * stops.isStopped; // => true
 */
export class StopStrings {
  readonly #stops: readonly string[];
  #held = "";
  #isStopped = false;

  constructor(stops: readonly string[]) {
    this.#stops = stops;
  }

  /** True once a stop string was complete; nothing passes any more. */
  get isStopped(): boolean {
    return this.#isStopped;
  }

  /** The text that is now certain to come before any stop string. */
  push(text: string): string {
    if (this.#isStopped) return "";
    const all = this.#held + text;
    const stop = this.#firstComplete(all);
    this.#isStopped = stop !== undefined;
    const end = stop ? stop.start : all.length - this.#possibleStart(all);
    this.#held = stop ? "" : all.slice(end);
    return all.slice(0, end);
  }

  /** What is held back when the text ends without a stop string. */
  flush(): string {
    const rest = this.#held;
    this.#held = "";
    return rest;
  }

  #firstComplete(text: string): { readonly start: number; readonly end: number } | undefined {
    const found = this.#stops
      .map((stop) => ({ start: text.indexOf(stop), length: stop.length }))
      .filter(({ start }) => start >= 0)
      .map(({ start, length }) => ({ start, end: start + length }));
    return found.sort((a, b) => a.end - b.end || a.start - b.start)[0];
  }

  /** Length of the longest end of the text that begins a stop string. */
  #possibleStart(text: string): number {
    const longest = Math.max(0, ...this.#stops.map(({ length }) => length - 1));
    for (let length = Math.min(longest, text.length); length > 0; length--) {
      const end = text.slice(-length);
      if (this.#stops.some((stop) => stop.length > length && stop.startsWith(end))) return length;
    }
    return 0;
  }
}
