/** Whether preference tuning does what it should, with a preference that a rule can check. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { text as readAll } from "node:stream/consumers";
import { SHARED_DATA } from "../corpus.mjs";
import { inform, judge, skip } from "../row.mjs";

export const summary =
  "answers of a small decoder to questions of banking77, tuned to end with a full stop: DPO, its control, a reward model, GRPO";

const DATA = join(SHARED_DATA, "banking77/train.csv");
const PROGRAM = join(import.meta.dirname, "../workloads/preference.mjs");

export async function* measure({ trial, log }) {
  if (!existsSync(DATA)) {
    yield skip({ name: "preference", unit: "", skipped: `${DATA} is not here` });
    return;
  }
  log("preference");
  const found = await run(trial);
  const { supervised, dpo, control, reward, grpo, heldOut } = found;
  const held = `${heldOut} questions held out`;
  const percent = (share) => `${(100 * share).toFixed(1)} %`;
  yield judge({
    ...{ name: "preference/dpo/pairs", value: dpo.pairAccuracy, unit: "of pairs held out" },
    rule: ["value", "≥", 0.9],
  });
  yield judge({
    ...{ name: "preference/dpo/wins", value: dpo.winRate, unit: "against the supervised model" },
    rule: ["value", "≥", 0.75],
    note: `full stops: ${percent(supervised.endsWell)} before, ${percent(dpo.endsWell)} after; a tie counts half`,
  });
  yield judge({
    ...{
      name: "preference/dpo/accuracy-lost",
      value: supervised.accuracy - dpo.accuracy,
      unit: "of answers",
    },
    rule: ["value", "≤", 0.02],
    note: `right: ${percent(supervised.accuracy)} before, ${percent(dpo.accuracy)} after, of ${held}`,
  });
  yield inform({
    ...{ name: "preference/dpo/divergence", value: dpo.divergence.natsPerText, unit: "nats a text" },
    note: `± ${dpo.divergence.standardError.toFixed(3)}; ${dpo.divergence.natsPerToken.toFixed(3)} a token`,
  });
  yield judge({
    name: "preference/control/pairs-off-half",
    ...{ value: Math.abs(control.pairAccuracyShuffled - 0.5), unit: "of pairs held out" },
    rule: ["value", "≤", 0.05],
    note: `${percent(control.pairAccuracyShuffled)} of shuffled pairs, ${percent(control.pairAccuracy)} by the rule; wins ${percent(control.winRate)}`,
  });
  yield inform({
    ...{ name: "preference/reward/pairs", value: reward.pairAccuracy, unit: "of pairs held out" },
  });
  yield inform({
    ...{ name: "preference/grpo/wins", value: grpo.winRate, unit: "against the supervised model" },
    note: `right: ${percent(grpo.accuracy)}; ${grpo.divergence.natsPerText.toFixed(3)} nats a text`,
  });
}

async function run(trial) {
  const words = [PROGRAM, "--data", DATA, "--threads", "2", "--trial", `${trial ?? false}`];
  const child = spawn(process.execPath, words, { stdio: ["ignore", "pipe", "inherit"] });
  const [output, [code]] = await Promise.all([readAll(child.stdout), once(child, "exit")]);
  if (code !== 0) throw new Error(`preference.mjs ended with exit code ${code}`);
  return JSON.parse(output);
}
