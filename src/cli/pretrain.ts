import { parseSource } from "../data/sources.ts";
import { Engine } from "../engine/engine.ts";
import { type PretrainResult, pretrain as runPretraining } from "../recipes/pretrain.ts";
import { applySettings, type Recipe, readRecipe } from "../recipes/recipe.ts";
import { readRunRecipe } from "../recipes/run-directory.ts";
import { DEFAULT_RECIPE, findRecipe, RECIPES } from "../recipes/table.ts";
import { showQuality } from "../train/quality.ts";
import { commandName } from "./command-name.ts";
import { boolean, integer, list, required, type SettingValue, settings, text } from "./flag-specs.ts";
import { describeMachine, readMachine } from "./machine.ts";
import { MODEL_FLAGS } from "./model-argument.ts";
import { defineVerb, type Verb } from "./verb.ts";

/** `plinth pretrain`: a base model from text. */
export const pretrain: Verb = defineVerb({
  name: "pretrain",
  summary: "train a base model from text, code or both",
  positionals: [
    {
      name: "recipe",
      describe: `one of ${Object.keys(RECIPES).join(", ")}; default ${DEFAULT_RECIPE}, or with --resume that of the run`,
      required: false,
    },
  ],
  flags: {
    data: required(
      list({ describe: "files, folders, globs or .jsonl; several with @weight", placeholder: "PATH…" }),
    ),
    out: required(text({ describe: "directory for everything the run makes", placeholder: "DIR" })),
    set: settings({ describe: "change the recipe, e.g. train.steps=500 model.width=256" }),
    "text-field": text({ describe: "field of JSON lines that holds the text", fallback: "text" }),
    resume: boolean({ describe: "continue from the newest checkpoint" }),
    prompt: text({ describe: "what a decoder's samples along the way continue", fallback: "" }),
    checkMemory: MODEL_FLAGS.checkMemory,
    threads: integer({ describe: "threads for the arithmetic; default: all cores", min: 1 }),
  },
  example: "plinth pretrain mistral-tiny --data docs src/**/*.ts@2 --out runs/first",
  run: async ({ positionals: [name], flags, out, signal }) => {
    const recipe = chooseRecipe(name, flags);
    const sources = flags.data.map((word) => parseSource(word, flags["text-field"]));
    const engine = new Engine(flags.threads === undefined ? {} : { threads: flags.threads });
    const display = out.openDisplay();
    const result = await runPretraining({
      engine,
      recipe,
      sources,
      directory: flags.out,
      resume: flags.resume,
      machine: describeMachine(readMachine()),
      command: commandName(),
      samplePrompt: flags.prompt,
      checkMemory: flags.checkMemory,
      onEvent: (event) => display.handle(event),
      signal,
    });
    const { best, baselines, controls, reason, step, seconds } = result;
    const model = reason === "stopped" ? null : result.modelDirectory;
    const summary = { reason, step, seconds, best, baselines, controls, model, report: result.reportPath };
    out.result(summary, summarize(result));
  },
});

/** The named recipe, or that of the run to be continued, or the default, with settings changed. */
function chooseRecipe(
  name: string | undefined,
  flags: {
    readonly out: string;
    readonly resume: boolean;
    readonly set: Readonly<Record<string, SettingValue>>;
  },
): Recipe {
  const begun = name === undefined && flags.resume ? readRunRecipe(flags.out) : undefined;
  return readRecipe(applySettings(begun ?? findRecipe(name ?? DEFAULT_RECIPE).recipe, flags.set));
}

function summarize(result: PretrainResult): string {
  const { best, baselines, controls, reason, step, modelDirectory, reportPath, model } = result;
  const compared = [...baselines, ...controls].map((one) => `${one.label}: ${showQuality(one, 3)}`);
  const lines = [`best    ${showQuality(best, 3)} at step ${best.step}`, `        ${compared.join("; ")}`];
  if (reason === "stopped") {
    return [...lines, `stopped at step ${step}; go on with --resume`, `report  ${reportPath}`].join("\n");
  }
  const use =
    "logits" in model
      ? `generate ${modelDirectory} --prompt "…"`
      : `fill-mask ${modelDirectory} --text "… [MASK] …"`;
  return [
    ...lines,
    `model   ${modelDirectory}`,
    `report  ${reportPath}`,
    `next    ${commandName()} ${use}`,
  ].join("\n");
}
