import type { DecoderShape, EncoderShape } from "../models/contracts.ts";
import { boolean } from "./flag-specs.ts";
import {
  type AdapterReport,
  type Inspection,
  inspectPath,
  type ModelReport,
  type TensorReport,
} from "./inspection.ts";
import { defineVerb, type Verb } from "./verb.ts";

/** `plinth inspect`: what is in a model, an adapter, a checkpoint or a file of tensors. */
export const inspect: Verb = defineVerb({
  name: "inspect",
  summary: "what is in a model, an adapter, a checkpoint or a .safetensors file",
  positionals: [
    {
      name: "model",
      describe:
        "a model directory, an adapter, the directory of a pretraining run, a checkpoint, a .safetensors file, or owner/name[@revision] on Hugging Face",
      required: true,
      isModel: true,
    },
  ],
  flags: {
    stats: boolean({ describe: "read every tensor and show its mean, deviation, least and largest number" }),
  },
  example: "plinth inspect runs/first --stats",
  run: async ({ positionals: [path], flags, out }) => {
    const inspection = inspectPath(path!, flags.stats);
    out.result(inspection, renderInspection(inspection));
  },
});

type Row = readonly [label: string, value: string];

/** The inspection as text: what it is, and a table of its tensors. */
export function renderInspection(inspection: Inspection): string {
  const { kind, path, numElements, sizeBytes, dtypes, tensors } = inspection;
  const { model, adapter, checkpoint, metadata } = inspection;
  const types = Object.entries(dtypes).map(([dtype, count]) => `${dtype} ${showCount(count)}`);
  const rows: Row[] = [
    [kind, path],
    ...(model ? modelRows(model) : []),
    ...(adapter ? adapterRows(adapter) : []),
    ...(checkpoint ? ([["step", `${checkpoint.step}, intact`]] as const) : []),
    ["tensors", `${tensors.length}, ${showCount(numElements)} numbers, ${showBytes(sizeBytes)}`],
    ["dtypes", types.join(", ") || "none"],
    ...Object.entries(metadata ?? {}).map(([key, value]): Row => [key, value]),
  ];
  const sections = [alignRows(rows), renderTensors(tensors)];
  if (checkpoint) sections.push(`state ${JSON.stringify(checkpoint.state, null, 2)}`);
  if (adapter) sections.push(`config ${JSON.stringify(adapter.config, null, 2)}`);
  if (model) sections.push(`config ${JSON.stringify(model.config, null, 2)}`);
  return sections.filter(Boolean).join("\n\n");
}

function adapterRows({ peftType, base }: AdapterReport): Row[] {
  return [
    ["method", peftType === null ? "not said" : JSON.stringify(peftType).slice(1, -1)],
    ["base", base === null ? "not said" : JSON.stringify(base)],
  ];
}

function modelRows({ family, shape, heads, numParameters, memory, tokenizer, config }: ModelReport): Row[] {
  const rows: Row[] = [
    ["family", family ?? `unknown to Plinth (model_type ${JSON.stringify(config.model_type ?? null)})`],
  ];
  if (shape) rows.push(...shapeRows(shape));
  if (heads) rows.push(["on top", heads.length > 0 ? heads.join(", ") : "nothing"]);
  if (numParameters !== null) rows.push(["parameters", showCount(numParameters)]);
  if (memory) {
    const { weightsBytes, cacheBytes, runBytes, availableBytes, trainingBytes } = memory;
    const cache = cacheBytes > 0 ? `, ${showBytes(cacheBytes)} cache of a full context` : "";
    const uses = `${showBytes(weightsBytes)} weights${cache}`;
    rows.push(["memory", `${uses}; ${showBytes(trainingBytes)} and activations to train`]);
    if (runBytes !== null) {
      rows.push([
        "to run",
        `about ${showBytes(runBytes)}; this machine has ${showBytes(availableBytes)} available`,
      ]);
    }
  }
  if (!tokenizer) rows.push(["tokenizer", "none"]);
  else if (tokenizer.kind === "unreadable") rows.push(["tokenizer", tokenizer.problem]);
  else rows.push(["tokenizer", `${tokenizer.kind}, ${tokenizer.vocabularySize} tokens`]);
  return rows;
}

function shapeRows(shape: DecoderShape | EncoderShape): Row[] {
  const { numLayers, width, numHeads, contextLength, vocabularySize } = shape;
  const shared = "numKeyValueHeads" in shape && shape.numKeyValueHeads !== numHeads;
  const cached = shared ? ` (${shape.numKeyValueHeads} of keys and values)` : "";
  const hasWindow = "slidingWindow" in shape && shape.slidingWindow !== undefined;
  const window = hasWindow ? `, seen through a window of ${shape.slidingWindow}` : "";
  return [
    ["shape", `${numLayers} layers × ${width}, ${numHeads} heads${cached}`],
    ["context", `${contextLength} tokens${window}`],
    ["vocabulary", `${vocabularySize} tokens`],
  ];
}

function renderTensors(tensors: readonly TensorReport[]): string {
  if (tensors.length === 0) return "";
  const hasStats = tensors.some(({ stats }) => stats !== undefined);
  const heads = ["tensor", "dtype", "shape", ...(hasStats ? ["mean", "std", "min", "max", ""] : [])];
  const lines = tensors.map(({ name, dtype, shape, stats }) => {
    const cells = [name, dtype, shape.join(" × ") || "scalar"];
    if (stats === undefined) return cells;
    const { mean, std, min, max, numNonFinite } = stats ?? { mean: null, std: null, min: null, max: null };
    return [
      ...cells,
      ...[mean, std, min, max].map(showNumber),
      numNonFinite ? `${numNonFinite} not finite` : "",
    ];
  });
  const table = [heads, ...lines];
  const widths = heads.map((_, column) => Math.max(...table.map((cells) => cells[column]!.length)));
  return table
    .map((cells) =>
      cells
        .map((cell, column) => cell.padEnd(widths[column]!))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

function alignRows(rows: readonly Row[]): string {
  const widest = Math.max(...rows.map(([label]) => label.length));
  return rows.map(([label, value]) => `${label.padEnd(widest)}  ${value}`).join("\n");
}

function showNumber(value: number | null): string {
  return value === null ? "–" : value.toPrecision(4);
}

function showCount(count: number): string {
  return count.toLocaleString("en-US");
}

function showBytes(bytes: number): string {
  const units = ["bytes", "KiB", "MiB", "GiB"];
  const power = Math.min(units.length - 1, Math.floor(Math.log2(Math.max(1, bytes)) / 10));
  const value = bytes / 1024 ** power;
  return `${power === 0 ? value : value.toPrecision(3)} ${units[power]}`;
}
