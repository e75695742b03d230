import { StreamDecoder, type Tokenizer } from "../codecs/tokenizer.ts";
import { StopStrings } from "./stop-strings.ts";

/** Tokens to text that is certain: whole characters, before any stop string. */
export class TextWriter {
  readonly #decoder: StreamDecoder;
  readonly #stops: StopStrings;
  #text = "";

  constructor(tokenizer: Tokenizer, stop: readonly string[]) {
    this.#decoder = new StreamDecoder(tokenizer);
    this.#stops = new StopStrings(stop);
  }

  /** Everything passed on so far. */
  get text(): string {
    return this.#text;
  }

  /** True once a stop string was complete. */
  get isStopped(): boolean {
    return this.#stops.isStopped;
  }

  /** The text that the token makes certain; may be "". */
  push(token: number): string {
    return this.#keep(this.#stops.push(this.#decoder.push(token)));
  }

  /** What was held back, when the text ends. */
  flush(): string {
    if (this.#stops.isStopped) return "";
    return this.#keep(this.#stops.push(this.#decoder.flush()) + this.#stops.flush());
  }

  #keep(text: string): string {
    this.#text += text;
    return text;
  }
}
