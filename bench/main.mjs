/** `npm run bench -- NAME… [--json] [--list] [--trial]`: see README.md. */
import { parseArgs } from "node:util";
import { describeMachine, readMachine } from "../dist/cli/machine.js";
import * as adapters from "./cases/adapters.mjs";
import * as bpe from "./cases/bpe.mjs";
import * as decode from "./cases/decode.mjs";
import * as embed from "./cases/embed.mjs";
import * as forecast from "./cases/forecast.mjs";
import * as large from "./cases/large.mjs";
import * as learning from "./cases/learning.mjs";
import * as load from "./cases/load.mjs";
import * as lora from "./cases/lora.mjs";
import * as memory from "./cases/memory.mjs";
import * as packing from "./cases/packing.mjs";
import * as preference from "./cases/preference.mjs";
import * as prefill from "./cases/prefill.mjs";
import * as probe from "./cases/probe.mjs";
import * as qlora from "./cases/qlora.mjs";
import * as recompute from "./cases/recompute.mjs";
import * as saving from "./cases/saving.mjs";
import * as savingEncoder from "./cases/saving-encoder.mjs";
import * as start from "./cases/start.mjs";
import * as step from "./cases/step.mjs";
import * as stepPeers from "./cases/step-peers.mjs";
import * as window from "./cases/window.mjs";
import { REPEATS } from "./measure.mjs";
import { runWorkload } from "./peer.mjs";
import { formatRow } from "./table.mjs";

const CASES = {
  step,
  "step-peers": stepPeers,
  memory,
  packing,
  bpe,
  decode,
  preference,
  prefill,
  probe,
  embed,
  window,
  load,
  start,
  large,
  learning,
  lora,
  recompute,
  qlora,
  forecast,
  adapters,
  saving,
  "saving-encoder": savingEncoder,
};
const TRIAL_REPEATS = 2;

const log = (line) => process.stderr.write(`bench: ${line}\n`);

async function main() {
  const { names, json, list, trial } = readArguments();
  if (list) {
    for (const name of names)
      console.log(json ? JSON.stringify({ name }) : `${name.padEnd(14)} ${CASES[name].summary}`);
    return;
  }
  log(describeMachine(readMachine()));
  for (const name of names) {
    for (const row of await runCase(name, trial))
      console.log(json ? JSON.stringify(row, sixDigits) : formatRow(row));
  }
}

function readArguments() {
  const switches = { json: { type: "boolean" }, list: { type: "boolean" }, trial: { type: "boolean" } };
  const { values, positionals } = parseArgs({ options: switches, allowPositionals: true });
  const unknown = positionals.find((name) => !Object.hasOwn(CASES, name));
  if (unknown) throw new Error(`expected names among ${Object.keys(CASES).join(", ")}, got "${unknown}"`);
  return { ...values, names: positionals.length > 0 ? positionals : Object.keys(CASES) };
}

/** All rows of a benchmark. One that breaks keeps what it has measured and adds a row that says how it broke. */
async function runCase(name, trial = false) {
  const repeats = trial ? TRIAL_REPEATS : REPEATS;
  const rows = [];
  const rateBefore = await machineRate();
  try {
    for await (const row of CASES[name].measure({ repeats, trial, log })) rows.push(row);
  } catch (error) {
    log(`${name}: ${error.stack}`);
    process.exitCode = 1;
    rows.push({ name, value: null, pass: false, error: error.message.split("\n")[0] });
  }
  const noise = Math.abs((await machineRate()) / rateBefore - 1);
  return rows.map((row) => ({ ...(trial && !row.error ? unjudged(row) : row), noise }));
}

/** A row of a trial: too little was measured to judge it. */
function unjudged({ note, ...row }) {
  return { ...row, pass: null, note: ["a trial, not judged", note].filter(Boolean).join("; ") };
}

function sixDigits(_key, value) {
  return typeof value === "number" ? Number(value.toPrecision(6)) : value;
}

/** The same small piece of work before and after each benchmark: how much the machine itself has sped up or slowed. */
async function machineRate() {
  return (await runWorkload("product-rate.mjs")).gflops;
}

try {
  await main();
} catch (error) {
  log(error.message);
  process.exitCode = 1;
}
