import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Adapter, firstAdapterWeights } from "../src/adapt/adapter.ts";
import { Ia3 } from "../src/adapt/ia3.ts";
import { JoinedAdapter } from "../src/adapt/joined-adapter.ts";
import { Lora } from "../src/adapt/lora.ts";
import { type AdapterBase, loadAdapter, saveAdapter } from "../src/adapt/peft/adapter-file.ts";
import { PrefixTuning } from "../src/adapt/prefix-tuning.ts";
import { PromptTuning } from "../src/adapt/prompt-tuning.ts";
import type { HostTensor } from "../src/core/dtype.ts";
import { Random } from "../src/core/random.ts";
import { readWeight } from "../src/engine/stored-tensor.ts";
import type { CausalLM } from "../src/models/contracts.ts";
import { largestDifference, type Packed, unpack } from "./mistral-golden.ts";
import { adapt, fixtureBase, logitsOf, type PeftGolden } from "./peft-golden.ts";

// Adapters saved here against a record of what Python `peft` made of the same bytes. With PLINTH_EXPORTS=DIR the directories stay
// there, for tools/golden/check_adapters.py to make the record anew.

interface Export {
  readonly base: string;
  readonly create: (model: AdapterBase["model"]) => Adapter;
  readonly modulesToSave?: readonly string[];
}

const EXPORTS: Readonly<Record<string, Export>> = {
  "bert-lora": {
    base: "bert/single-label",
    create: (model) => new Lora(model, { rank: 2, alpha: 3, targets: ["query", "intermediate.dense"] }),
    modulesToSave: ["classifier"],
  },
  "gpt2-dora": {
    base: "gpt2/prefixed",
    create: (model) => new Lora(model, { rank: 2, alpha: 4, targets: "all-linear", decomposed: true }),
  },
  "gpt2-ia3": {
    base: "gpt2/prefixed",
    create: (model) => new Ia3(model, { targets: ["c_attn"], feedForward: ["mlp.c_proj"] }),
  },
  "gpt2-ranks": {
    base: "gpt2/prefixed",
    create: (model) =>
      new JoinedAdapter([
        new Lora(model, { rank: 3, alpha: 6, targets: ["c_fc"] }),
        new Lora(model, { rank: 1, alpha: 5, targets: ["h.0.attn.c_attn"] }),
      ]),
  },
  "llama-prompt": {
    base: "mistral/llama",
    create: (model) => new PromptTuning(model as CausalLM, { virtualTokens: 3 }),
  },
  "mistral-rslora": {
    base: "mistral/mistral",
    create: (model) =>
      new Lora(model, { rank: 3, alpha: 2, targets: ["q_proj", "v_proj"], rankStabilized: true }),
  },
  "qwen2-prefix": {
    base: "mistral/qwen2",
    create: (model) => new PrefixTuning(model as CausalLM, { virtualTokens: 2 }),
  },
};

/** Saves one of them, with no weight zero or one by rule. */
function saveExport({ base: name, create, modulesToSave = [] }: Export, directory: string): void {
  const base = fixtureBase(name);
  const adapter = create(base.model);
  const first = firstAdapterWeights(adapter, base.weights, new Random(5));
  const whole = base.model.parameters.filter(({ path }) =>
    modulesToSave.some((module) => path.startsWith(module)),
  );
  const all = [...first, ...whole.map(({ path }) => [path, readWeight(base.weights.get(path)!)] as const)];
  const weights = all.map(([path, { shape, data }]): [string, HostTensor] => {
    const random = new Random(6).fork(path);
    const values = Float32Array.from(data as Float32Array, (value) => value + 0.3 * random.normal());
    return [path, { dtype: "float32", shape, data: values }];
  });
  saveAdapter(directory, { base, adapter, weights: new Map(weights), baseName: name, modulesToSave });
}

interface PythonRecord {
  readonly sha256: Readonly<Record<string, string>>;
  readonly warnings: readonly string[];
  readonly inputs: PeftGolden["inputs"];
  readonly logits: Packed;
}

const kept = process.env.PLINTH_EXPORTS;
let root = "";
beforeAll(() => {
  root = kept ?? mkdtempSync(join(tmpdir(), "plinth-adapters-"));
  if (kept) mkdirSync(kept, { recursive: true });
  for (const [name, what] of Object.entries(EXPORTS)) saveExport(what, join(root, name));
});
afterAll(() => {
  if (!kept) rmSync(root, { recursive: true, force: true });
});

if (kept) test("the directories are saved", () => expect(existsSync(join(root, "gpt2-dora"))).toBe(true));

describe.skipIf(kept !== undefined)("adapters that Python peft has loaded", () => {
  const path = new URL("./fixtures/peft-exported/record.json", import.meta.url).pathname;
  let adapters: Readonly<Record<string, PythonRecord>>;
  beforeAll(() => {
    adapters = JSON.parse(readFileSync(path, "utf8")).adapters;
  });

  test.each(Object.entries(EXPORTS))(
    "%s: the same bytes, no warning, the same logits",
    async (name, what) => {
      const record = adapters[name]!;
      for (const [file, sha256] of Object.entries(record.sha256)) {
        const bytes = readFileSync(join(root, name, file));
        expect([file, createHash("sha256").update(bytes).digest("hex")]).toEqual([file, sha256]);
      }
      expect(record.warnings).toEqual([]);
      const base = fixtureBase(what.base);
      const { model, weights } = adapt(base, loadAdapter(join(root, name), base));
      const logits = await logitsOf(model, weights, record.inputs);
      expect(largestDifference(logits, unpack(record.logits))).toBeLessThan(1e-5);
    },
  );
});
