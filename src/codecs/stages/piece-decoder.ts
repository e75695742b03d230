import type { TokenDecoder } from "../pipeline-tokenizer.ts";
import type { Decoding } from "../tokenizer.ts";
import { encodeUtf8 } from "../utf8.ts";
import type { DecodingStep, DecodingStepMaker } from "./decoders.ts";

/** Tokens that become text in a chain of steps. */
export class PieceDecoder implements TokenDecoder {
  readonly #texts: readonly string[];
  readonly #makers: readonly DecodingStepMaker[];
  readonly #bytesOf: (token: string) => Uint8Array;

  /**
   * @param texts   of the tokens, by id
   * @param bytesOf what a token stands for in the midst of a text; by default what the steps make of it after another token
   */
  constructor(
    texts: readonly string[],
    makers: readonly DecodingStepMaker[],
    bytesOf?: (token: string) => Uint8Array,
  ) {
    this.#texts = texts;
    this.#makers = makers;
    this.#bytesOf = bytesOf ?? ((token) => this.#innerBytes(token));
  }

  decode(ids: ArrayLike<number>): string {
    const decoding = this.start();
    let text = "";
    for (let i = 0; i < ids.length; i++) text += decoding.push(ids[i]!);
    return text + decoding.flush();
  }

  start(): Decoding {
    const steps = this.#makers.map((make) => make());
    return {
      push: (id) => through(steps, 0, [this.#texts[id]!]),
      flush: () => {
        let text = "";
        for (const [i, step] of steps.entries()) text += through(steps, i + 1, step.flush());
        return text;
      },
    };
  }

  tokenBytes(id: number): Uint8Array {
    return this.#bytesOf(this.#texts[id]!);
  }

  /** What the token adds when it follows and precedes an ordinary one. */
  #innerBytes(token: string): Uint8Array {
    const byte = /^<0x([0-9A-F]{2})>$/.exec(token)?.[1];
    if (byte !== undefined) return Uint8Array.of(Number.parseInt(byte, 16));
    const steps = this.#makers.map((make) => make());
    const before = through(steps, 0, ["x"]);
    const all = before + through(steps, 0, [token]) + through(steps, 0, ["x"]);
    const rest = steps.map((step, i) => through(steps, i + 1, step.flush())).join("");
    const joined = all + rest;
    return encodeUtf8(joined.slice(1, joined.lastIndexOf("x")));
  }
}

function through(steps: readonly DecodingStep[], from: number, pieces: readonly string[]): string {
  let current = pieces;
  for (const step of steps.slice(from)) current = current.flatMap((piece) => step.push(piece));
  return current.join("");
}
