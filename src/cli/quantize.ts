import { ConfigError } from "../core/errors.ts";
import type { QuantizationScheme } from "../core/weights.ts";
import { readTextPieces } from "../data/text-file.ts";
import { Engine } from "../engine/engine.ts";
import { Perplexity } from "../eval/perplexity.ts";
import { BLOCK_SIZES } from "../hub/quantized-weights.ts";
import { type QuantizeReport, quantizeModel } from "../models/quantize-model.ts";
import { boolean, choice, required, text } from "./flag-specs.ts";
import { MODEL_ARGUMENT, modelDirectory } from "./model-argument.ts";
import { defineVerb, type Verb } from "./verb.ts";

/** `plinth quantize`: a model directory with few bits a weight, made from one with many. */
export const quantize: Verb = defineVerb({
  name: "quantize",
  summary: "make a model smaller and faster: 4 or 8 bits a weight",
  positionals: [MODEL_ARGUMENT],
  flags: {
    out: required(text({ describe: "directory for the quantised model", placeholder: "DIR" })),
    bits: choice(["4", "8"], { describe: "bits a weight; default 4" }),
    scheme: choice(["int4", "int8", "nf4"], {
      describe: "int4 or int8 to run fast; nf4 as bitsandbytes stores it, to adapt; default: by --bits",
    }),
    blockSize: choice(BLOCK_SIZES.map(String), {
      describe: "weights that share a scale; smaller is more exact; default 32, and 64 for nf4",
    }),
    zeroPoints: boolean({ describe: "a zero point for each block: a little more exact, a little larger" }),
    keepHead: boolean({ describe: "leave the output head as it is" }),
    data: text({ describe: "text to measure perplexity on, before and after", placeholder: "FILE" }),
  },
  example: "plinth quantize runs/first --bits 4 --out runs/first-int4 --data held-out.txt",
  run: async ({ positionals: [word], flags, out, signal }) => {
    const source = modelDirectory(word!);
    const { zeroPoints, keepHead, data, out: target } = flags;
    const scheme = schemeOf(flags);
    const measure =
      data === undefined ? undefined : new Perplexity(new Engine(), [...readTextPieces(data)].join(""), data);
    const before = await measure?.of(source, signal);
    const report = await quantizeModel(source, target, {
      ...{ scheme, zeroPoints, keepHead, signal },
      ...(flags.blockSize && { blockSize: Number(flags.blockSize) }),
      onTensor: ({ name, index, count }) => {
        if (index % Math.ceil(count / 10) === 0) out.notice(`${index + 1}/${count}  ${name}`);
      },
    });
    const after = await measure?.of(target, signal);
    const perplexity = before !== undefined && after !== undefined ? { before, after } : null;
    out.result({ directory: target, ...report, perplexity }, render(target, report, perplexity));
  },
});

function schemeOf({
  bits,
  scheme,
}: {
  readonly bits: "4" | "8" | undefined;
  readonly scheme: QuantizationScheme | undefined;
}): QuantizationScheme {
  if (scheme && bits && (scheme === "int8") !== (bits === "8")) {
    const expected = `${scheme === "int8" ? 8 : 4} with --scheme ${scheme}`;
    throw new ConfigError({ where: "--bits", expected, got: bits, fix: "Leave one of the two out." });
  }
  return scheme ?? (bits === "8" ? "int8" : "int4");
}

function render(
  target: string,
  { tensors, kept, bytesBefore, bytesAfter }: QuantizeReport,
  perplexity: { readonly before: number; readonly after: number } | null,
): string {
  const worst = tensors.reduce((a, b) => (b.relativeError > a.relativeError ? b : a));
  const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`;
  const lines = [
    `${target}: ${tensors.length} matrices quantised, ${kept} tensors as they were`,
    `${megabytes(bytesBefore)} → ${megabytes(bytesAfter)}`,
    `largest error: ${(100 * worst.relativeError).toFixed(2)} % of ${worst.name}`,
  ];
  if (perplexity) {
    const { before, after } = perplexity;
    const change = 100 * (after / before - 1);
    lines.push(
      `perplexity: ${before.toFixed(4)} → ${after.toFixed(4)} (${change < 0 ? "" : "+"}${change.toFixed(2)} %)`,
    );
  }
  return lines.join("\n");
}
