import { parseSource } from "../data/sources.ts";
import { Engine } from "../engine/engine.ts";
import { pretrain as runPretraining } from "../recipes/pretrain.ts";
import { applySettings, readRecipe } from "../recipes/recipe.ts";
import { findRecipe, RECIPES } from "../recipes/table.ts";
import { showQuality } from "../train/quality.ts";
import { commandName } from "./command-name.ts";
import { boolean, integer, list, required, settings, text } from "./flag-specs.ts";
import { describeMachine, readMachine } from "./machine.ts";
import { defineVerb, type Verb } from "./verb.ts";

/** `plinth pretrain`: a base model from text. */
export const pretrain: Verb = defineVerb({
  name: "pretrain",
  summary: "train a base model from text, code or both",
  positionals: [{ name: "recipe", describe: `one of ${Object.keys(RECIPES).join(", ")}`, required: true }],
  flags: {
    data: required(
      list({ describe: "files, folders, globs or .jsonl; several with @weight", placeholder: "PATH…" }),
    ),
    out: required(text({ describe: "directory for everything the run makes", placeholder: "DIR" })),
    set: settings({ describe: "change the recipe, e.g. train.steps=500 model.width=256" }),
    "text-field": text({ describe: "field of JSON lines that holds the text", fallback: "text" }),
    resume: boolean({ describe: "continue from the newest checkpoint" }),
    prompt: text({ describe: "what the samples along the way continue", fallback: "" }),
    threads: integer({ describe: "threads for the arithmetic; default: all cores", min: 1 }),
  },
  example: "plinth pretrain gpt2-tiny --data docs src/**/*.ts@2 --out runs/first",
  run: async ({ positionals: [name], flags, out, signal }) => {
    const recipe = readRecipe(applySettings(findRecipe(name!).recipe, flags.set));
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
      onEvent: (event) => display.handle(event),
      signal,
    });
    const { best, baseline, reason, step, seconds } = result;
    const summary = {
      reason,
      step,
      seconds,
      best,
      baseline,
      model: reason === "finished" ? result.modelDirectory : null,
      report: result.reportPath,
    };
    const next =
      reason === "finished"
        ? `model   ${result.modelDirectory}\nreport  ${result.reportPath}\nnext    ${commandName()} generate ${result.modelDirectory} --prompt "…"`
        : `stopped at step ${step}; go on with --resume\nreport  ${result.reportPath}`;
    out.result(
      summary,
      `best    ${showQuality(best, 3)} at step ${best.step} (${baseline.label}: ${showQuality(baseline, 3)})\n${next}`,
    );
  },
});
