import type { Tokenizer } from "../codecs/tokenizer.ts";
import { ConfigError, DataError } from "../core/errors.ts";
import { readTextPieces } from "../data/text-file.ts";
import { Engine } from "../engine/engine.ts";
import { scoredBitsPerByte, scoreTokens, type TokenScores } from "../eval/score.ts";
import { integers, text } from "./flag-specs.ts";
import { loadModelArgument, MODEL_ARGUMENT, MODEL_FLAGS } from "./model-argument.ts";
import { defineVerb, type Verb } from "./verb.ts";

/** Longer tables help nobody; `--json` has every token. */
const MAX_ROWS = 40;

/** `plinth score`: how probable the model finds a text. */
export const score: Verb = defineVerb({
  name: "score",
  summary: "how probable a model finds a text, token by token",
  positionals: [MODEL_ARGUMENT],
  flags: {
    text: text({ describe: "the text to score" }),
    file: text({ describe: "a file of UTF-8 text to score", placeholder: "FILE" }),
    tokens: integers({ describe: "the text as token ids", min: 0 }),
    ...MODEL_FLAGS,
  },
  example: 'plinth score runs/first --text "Once upon a time"',
  run: async ({ positionals: [word], flags, out, signal }) => {
    checkOneSource(flags);
    const { model, weights, tokenizer } = loadModelArgument(word!, flags);
    const tokens = flags.tokens ?? Array.from(encode(tokenizer, flags));
    const scores = await scoreTokens(new Engine(), model, weights, tokens, signal);
    const bitsPerByte = tokenizer ? scoredBitsPerByte(tokenizer, tokens, scores) : null;
    const { logprobs, nats, windowed } = scores;
    const result = { tokens, logprobs, nats, bitsPerByte, ...(windowed && { windowed }) };
    out.result(result, renderScores(tokens, scores, bitsPerByte, tokenizer));
    if (windowed) {
      const { contextLength } = model.shape;
      out.notice(
        `Longer than the context of ${contextLength} tokens: scored in windows, each token seeing at least half of that.`,
      );
    }
  },
});

type Sources = {
  readonly text: string | undefined;
  readonly file: string | undefined;
  readonly tokens: readonly number[] | undefined;
};

function checkOneSource({ text, file, tokens }: Sources): void {
  const given = Object.entries({ text, file, tokens }).filter(([, value]) => value !== undefined);
  if (given.length === 1) return;
  throw new ConfigError({
    where: "plinth score",
    expected: "one of --text, --file and --tokens",
    got: given.length === 0 ? "none" : given.map(([name]) => `--${name}`).join(" and "),
  });
}

function encode(tokenizer: Tokenizer | undefined, { text, file }: Sources): Uint32Array {
  const flag = text === undefined ? "--file" : "--text";
  if (!tokenizer) {
    throw new ConfigError({
      where: flag,
      expected: "a model with a tokenizer",
      got: "one without",
      fix: "Give the text as --tokens.",
    });
  }
  const content = text ?? [...readTextPieces(file!)].join("");
  if (content.length > 0) return tokenizer.encode(content);
  const got = text === undefined ? `the empty file ${file}` : "an empty one";
  throw new DataError({ where: flag, expected: "a text with at least one character", got });
}

function renderScores(
  tokens: readonly number[],
  { logprobs, nats }: TokenScores,
  bitsPerByte: number | null,
  tokenizer: Tokenizer | undefined,
): string {
  const rows = tokens.slice(0, MAX_ROWS).map((token, i) => {
    const logprob = logprobs[i];
    const shown = typeof logprob === "number" ? logprob.toFixed(3) : "–";
    const piece = tokenizer ? `  ${JSON.stringify(tokenizer.decode([token]))}` : "";
    return `${String(token).padStart(7)} ${shown.padStart(9)}${piece}`;
  });
  const hidden = tokens.length - rows.length;
  const numScored = tokens.length - 1;
  const perToken = numScored > 0 ? `, ${(nats / numScored).toFixed(3)} a token` : "";
  return [
    `${"token".padStart(7)} ${"log prob".padStart(9)}`,
    ...rows,
    ...(hidden > 0 ? [`… and ${hidden} more; --json has them all`] : []),
    "",
    `${numScored} token${numScored === 1 ? "" : "s"} scored: ${nats.toFixed(3)} nats${perToken}`,
    ...(bitsPerByte === null ? [] : [`${bitsPerByte.toFixed(4)} bits per byte`]),
  ].join("\n");
}
