import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { HostTensor } from "../../core/dtype.ts";
import { IGNORED_TARGET } from "../../data/validation-windows.ts";
import { Engine } from "../../engine/engine.ts";
import { readWeights } from "../../engine/stored-tensor.ts";
import { gradients } from "../../tensor/gradient.ts";
import { input } from "../../tensor/tensor.ts";
import { batchFeeds, languageModelLoss } from "../../train/language-model-loss.ts";
import { loadModel } from "../load-model.ts";

// Golden values of tools/golden/gpt2.py: Python transformers, float64 runs of float32 weights.

const FIXTURES = new URL("../../../test/fixtures/gpt2/", import.meta.url).pathname;

interface Packed {
  readonly shape: number[];
  /** Little-endian, base64. */
  readonly float32: string;
}

interface GoldenCase {
  readonly name: string;
  readonly tokens: number[][];
  readonly targets: number[][];
  readonly loss: number;
  readonly logits: Packed;
  readonly hiddenStates?: Packed[];
  /** Norms of all; some elements by index, or a whole small tensor, of some. */
  readonly gradients: Record<string, { norm: number; indices?: number[]; values?: number[]; whole?: Packed }>;
}

const engine = new Engine();

function unpack({ float32 }: Packed): Float32Array {
  const bytes = Uint8Array.from(Buffer.from(float32, "base64"));
  return new Float32Array(bytes.buffer);
}

function largestDifference(actual: HostTensor | undefined, expected: Float32Array): number {
  const values = actual?.data as Float32Array;
  expect(values.length).toBe(expected.length);
  return values.reduce((peak, value, i) => Math.max(peak, Math.abs(value - expected[i]!)), 0);
}

/** PyTorch ignores label −100, Plinth −1. */
const toOurs = (label: number) => (label === -100 ? IGNORED_TARGET : label);

describe.each(["prefixed", "bare"])("golden checkpoint %s", (name) => {
  const file = readFileSync(`${FIXTURES}${name}/golden.json`, "utf8");
  const golden = JSON.parse(file) as { cases: GoldenCase[] };
  const { model, weights } = loadModel(`${FIXTURES}${name}`);

  test.each(golden.cases.map((c) => [c.name, c] as const))(
    "%s: logits, loss, gradients",
    async (_, golden) => {
      const shape = { batchSize: golden.tokens.length, contextLength: golden.tokens[0]!.length };
      const hidden = model.hidden(input("tokens", "int32", [shape.batchSize, shape.contextLength]));
      const forward = engine.compile("forward", { hidden, logits: model.logits(hidden) });
      const loss = languageModelLoss(model, shape);
      const wrt = gradients(
        loss,
        model.parameters.map(({ tensor }) => tensor),
      );
      const backward = engine.compile("backward", {
        loss,
        ...Object.fromEntries(model.parameters.map(({ path }, i) => [`by ${path}`, wrt[i]!])),
      });
      const { tokens, targets } = batchFeeds(
        {
          tokens: Int32Array.from(golden.tokens.flat()),
          targets: Int32Array.from(golden.targets.flat().map(toOurs)),
        },
        shape,
      );
      const values = Object.fromEntries(readWeights(weights));
      const out = await forward.run({ tokens, ...values });
      expect(largestDifference(out.logits, unpack(golden.logits))).toBeLessThan(1e-4);
      const last = golden.hiddenStates?.at(-1);
      if (last) expect(largestDifference(out.hidden, unpack(last))).toBeLessThan(1e-4);
      const back = await backward.run({ tokens, targets, ...values });
      expect(Math.abs((back.loss!.data[0] as number) - golden.loss)).toBeLessThan(1e-5);
      for (const { path } of model.parameters) {
        const expected = golden.gradients[`transformer.${path}`]!;
        const actual = back[`by ${path}`]!.data as Float32Array;
        expect(Math.abs(Math.hypot(...actual) - expected.norm), path).toBeLessThan(
          1e-5 * (1 + expected.norm),
        );
        const values = expected.values ?? (expected.whole ? [...unpack(expected.whole)] : []);
        values.forEach((value, i) => {
          const index = expected.indices?.[i] ?? i;
          expect(Math.abs(actual[index]! - value), `${path}[${index}]`).toBeLessThan(1e-5);
        });
      }
      forward.dispose();
      backward.dispose();
    },
  );
});
