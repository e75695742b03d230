import type { Quality } from "../../train/quality.ts";
import { showQuality } from "../../train/quality.ts";
import { formatDuration, formatSi } from "../../train/report/quantities.ts";
import type { Baseline } from "../../train/report.ts";
import type { TrainResult } from "../../train/train-run.ts";
import { flattenRecipe } from "../flat-recipe.ts";
import type { AdaptRecipe } from "./adapt-recipe.ts";

/** What a card says. */
export interface CardFacts {
  readonly title: string;
  readonly baseName: string;
  readonly isAdapter: boolean;
  readonly recipe: AdaptRecipe;
  readonly result: TrainResult;
  readonly judged: Quality | undefined;
  readonly baselines: readonly Baseline[];
  readonly corpus: readonly { readonly label: string; readonly value: string }[];
}

/** The README.md of what an adaptation made. */
export function adaptCard(facts: CardFacts): string {
  const { title, baseName, isAdapter, recipe, result, judged, baselines, corpus } = facts;
  const { best, step, totalFlops, seconds } = result;
  const table = (rows: readonly (readonly [string, string])[]) =>
    rows.map(([label, value]) => `| ${cell(label)} | ${cell(value)} |`).join("\n");
  const scores: [string, string][] = [
    [`this one, step ${best.step}`, showQuality(best, 3)],
    ...baselines.map((one): [string, string] => [one.label, showQuality(one, 3)]),
    ...(judged ? [["this one, looked at closely", showQuality(judged, 3)] as [string, string]] : []),
  ];
  return `---
base_model: ${JSON.stringify(baseName)}
library_name: ${isAdapter ? "peft" : "transformers"}
tags: [plinth]
---

# ${title}

Adapted with Plinth from ${baseName}.

| on examples held out | |
|---|---|
${table(scores)}

${step} steps, ${formatSi(totalFlops, "FLOP")}, ${formatDuration(seconds)}.

| data | |
|---|---|
${table(corpus.map(({ label, value }) => [label, value]))}

| setting | |
|---|---|
${table(Object.entries(flattenRecipe(recipe)).map(([key, value]) => [key, `${value}`]))}
`;
}

/** Text in a cell of a Markdown table. */
function cell(text: string): string {
  return text.replace(/\s+/g, " ").replaceAll("|", "\\|");
}
