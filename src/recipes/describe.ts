import type { CorpusManifest } from "../data/corpus.ts";
import type { CausalLM, Encoder } from "../models/contracts.ts";
import { countParameters } from "../nn/scope.ts";
import { showQuality } from "../train/quality.ts";
import type { TableRow } from "../train/report/html.ts";
import { formatCount, formatDuration, formatSi } from "../train/report/quantities.ts";
import type { Baseline } from "../train/report.ts";
import type { TrainResult } from "../train/train-run.ts";
import type { Recipe } from "./recipe.ts";
import type { Trainee } from "./trainee.ts";

/** `gpt2 · 6 layers × 384 · 10.7 M parameters` */
export function describeRun({ family, shape, parameters }: CausalLM | Encoder): string {
  const size = formatSi(countParameters(parameters), "parameters");
  return `${family} · ${shape.numLayers} layers × ${shape.width} · ${size}`;
}

/** What a corpus holds, for people. */
export function describeCorpus({ sources, splitBy, vocabularySize }: CorpusManifest): TableRow[] {
  const rows = sources.flatMap((source): TableRow[] => {
    const name = source.paths.length > 2 ? `${source.paths.length} paths` : source.paths.join(", ");
    const left = [
      source.duplicates > 0 ? `${source.duplicates} duplicates left out` : "",
      source.skippedFiles > 0 ? `${source.skippedFiles} binary files passed over` : "",
    ].filter(Boolean);
    const size = (split: "train" | "validation") =>
      `${formatSi(source[split].bytes, "B")}, ${formatCount(source[split].tokens)} tokens in ${formatCount(source[split].documents)} documents`;
    return [
      { label: name, value: [`weight ${source.weight}`, ...left].join(", ") },
      { label: "training", value: size("train") },
      { label: "validation", value: size("validation") },
    ];
  });
  return [
    ...rows,
    { label: "split by", value: splitBy },
    { label: "vocabulary", value: `${vocabularySize}` },
  ];
}

/** The README.md of a trained model. */
export function modelCard(
  { model, pipelineTag, taught }: Trainee,
  corpus: CorpusManifest,
  recipe: Recipe,
  { best, totalFlops, seconds, step }: TrainResult,
  compared: readonly Baseline[],
): string {
  const rows = describeCorpus(corpus).map(({ label, value }) => `| ${label} | ${value} |`);
  return `---
library_name: transformers
pipeline_tag: ${pipelineTag}
tags: [plinth]
---

# ${describeRun(model)}

Pretrained from scratch with Plinth, on text found where it was trained. ${taught}

| held-out text | |
|---|---|
| this model, step ${best.step} | ${showQuality(best, 3)} |
${compared.map((one) => `| ${one.label} | ${showQuality(one, 3)} |`).join("\n")}

Context ${recipe.train.contextLength} tokens. ${step} steps, ${formatSi(totalFlops, "FLOP")}, ${formatDuration(seconds)}.

| data | |
|---|---|
${rows.join("\n")}
`;
}
