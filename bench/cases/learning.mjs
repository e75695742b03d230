/** What the Shakespeare recipes learn, and how long the whole command takes. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text as readAll } from "node:stream/consumers";
import { SHARED_DATA } from "../corpus.mjs";
import { judge, skip } from "../row.mjs";

export const summary =
  "bits per character, or hidden characters filled in right, on tinyshakespeare's last tenth, and minutes, by recipe (an hour)";

const CLI = join(import.meta.dirname, "../../dist/cli/main.js");
const TEXT = join(SHARED_DATA, "tinyshakespeare/input.txt");
const HELD_OUT = 0.1;

/**
 * What counting letters achieves: the best 4-gram, and the best n-gram of any length with some room. Of hidden characters,
 * what the founding specification asks for; counting neighbours is measured in the same run.
 */
const GATES = [
  { recipe: "shakespeare-char", maxBits: 2.559, maxMinutes: 6 },
  { recipe: "shakespeare-char-long", maxBits: 2.39, maxMinutes: 25 },
  { recipe: "gpt2-char", maxBits: 2.559, maxMinutes: 6 },
  { recipe: "bert-char", minRight: 0.6, maxMinutes: 10 },
  { recipe: "bert-char-long", minRight: 0.66, maxMinutes: 40 },
];

export async function* measure({ trial, log }) {
  for (const { recipe, maxBits, minRight, maxMinutes } of GATES) {
    const quality = maxBits
      ? { name: `learning/${recipe}/bits`, unit: "bits/char", rule: ["value", "<", maxBits] }
      : { name: `learning/${recipe}/right`, unit: "of hidden characters", rule: ["value", "≥", minRight] };
    const time = { name: `learning/${recipe}/time`, unit: "min", rule: ["value", "≤", maxMinutes] };
    if (!existsSync(TEXT)) {
      for (const row of [quality, time]) yield skip({ ...row, skipped: `${TEXT} is not here` });
      continue;
    }
    log(`learning/${recipe}`);
    const { best, compared, numScored, minutes } = await learn(recipe, trial ? ["train.steps=20"] : []);
    // The text is ASCII, so that a byte is a character.
    const value = maxBits ? best.bitsPerByte : best.maskedAccuracy;
    yield judge({ ...quality, value, note: `over ${numScored} characters${compared}` });
    yield judge({ ...time, value: minutes });
  }
}

/** Runs the command as a user would; the time is that of the whole process. */
async function learn(recipe, settings) {
  const directory = mkdtempSync(join(tmpdir(), "plinth-bench-"));
  const args = [
    "pretrain",
    recipe,
    "--data",
    TEXT,
    "--out",
    join(directory, "run"),
    "--threads",
    "2",
    "--json",
  ];
  const set = settings.length > 0 ? ["--set", ...settings] : [];
  try {
    const start = performance.now();
    const child = spawn(process.execPath, [CLI, ...args, ...set], { stdio: ["ignore", "pipe", "inherit"] });
    const [output, [code]] = await Promise.all([readAll(child.stdout), once(child, "exit")]);
    const minutes = (performance.now() - start) / 60_000;
    if (code !== 0) throw new Error(`plinth ${args.join(" ")} ended with exit code ${code}`);
    const { best, baselines, controls } = JSON.parse(output);
    const others = [...baselines, ...controls].filter((one) => "maskedAccuracy" in one);
    const compared = others.map(({ label, maskedAccuracy }) => `; ${label}: ${maskedAccuracy.toFixed(4)}`);
    return {
      minutes,
      best,
      compared: compared.join(""),
      numScored: countScored(join(directory, "run"), best),
    };
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/**
 * How many characters the figure stands for: all of the last tenth but the first, which nothing precedes; of an encoder,
 * at least the ten thousand that make its standard error less than half a per cent.
 */
function countScored(directory, best) {
  const events = readFileSync(join(directory, "metrics.jsonl"), "utf8").trim().split("\n").map(JSON.parse);
  const { numTokens } = events.find(({ type, step }) => type === "validation" && step === best.step);
  const whole = Math.ceil(statSync(TEXT).size * HELD_OUT) - 1;
  const wanted = "maskedAccuracy" in best ? 10_000 : whole - 1;
  if (numTokens < wanted) throw new Error(`expected ${wanted} characters to be scored, got ${numTokens}`);
  return numTokens;
}
