/**
 * Workload: a small decoder learns to name the intent of a customer's question, in one of four styles; then it learns from pairs that
 * answers should end with a full stop, which a rule can check. Prints one line of JSON with everything measured on questions held out.
 *
 * The pairs differ in style only. The control learns from the same pairs with half of them turned, at random.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AdaptedDecoder } from "../../dist/adapt/adapter.js";
import { instructionRow } from "../../dist/adapt/instruction-row.js";
import { Lora } from "../../dist/adapt/lora.js";
import { Dpo } from "../../dist/adapt/preference/dpo.js";
import { Grpo } from "../../dist/adapt/preference/grpo.js";
import { GrpoStream } from "../../dist/adapt/preference/grpo-stream.js";
import { dpoMeasure, judgePairs, rewardMeasure } from "../../dist/adapt/preference/pair-measure.js";
import { preferenceStream, sidesOf } from "../../dist/adapt/preference/preference-examples.js";
import { preferenceRows } from "../../dist/adapt/preference/preference-rows.js";
import { RewardModel, RewardModelling } from "../../dist/adapt/preference/reward-model.js";
import { completionScores } from "../../dist/adapt/preference/score-rows.js";
import { measureDivergence, taskMeasure } from "../../dist/adapt/preference/task-measure.js";
import { writeCompletions } from "../../dist/adapt/preference/write-completions.js";
import { RowMeasure } from "../../dist/adapt/row-measure.js";
import { rowStream } from "../../dist/adapt/row-stream.js";
import { trainByteBpe } from "../../dist/codecs/train-byte-bpe.js";
import { Random } from "../../dist/core/random.js";
import { readCsvRows } from "../../dist/data/rows/csv-rows.js";
import { Engine } from "../../dist/engine/engine.js";
import { gpt2Config } from "../../dist/models/gpt2/config.js";
import { Gpt2 } from "../../dist/models/gpt2/model.js";
import { initializeParameters } from "../../dist/nn/scope.js";
import { NextToken } from "../../dist/train/next-token.js";
import { trainOptions } from "../../dist/train/options.js";
import { trainOnly } from "../../dist/train/train-only.js";
import { train } from "../../dist/train/trainer.js";

const CONTEXT = 96;
/** Longer questions, one in fifty, are left out. */
const QUESTION_TOKENS = 64;
const INTENTS = 16;
const ANSWER_TOKENS = 24;
const STYLES = [(x) => `${x}.`, (x) => x, (x) => `it is ${x}`, (x) => `intent: ${x}`];
const IDENTITY = { configHash: "bench", tokenizerHash: "bench", dataHash: "bench" };

const options = Object.fromEntries(
  process.argv
    .slice(2)
    .flatMap((word, i, words) => (word.startsWith("--") ? [[word.slice(2), words[i + 1]]] : [])),
);
/** A trial takes a tenth of the steps, to see that everything starts. */
const steps = (count) => (options.trial === "true" ? Math.ceil(count / 20) : count);

const engine = new Engine({ threads: Number(options.threads ?? 2) });
const directory = mkdtempSync(join(tmpdir(), "plinth-preference-"));
const log = (text) => process.stderr.write(`${text}\n`);

/** Questions of the first intents by name; of each, every fourth is held out. */
function readQuestions() {
  const all = [...readCsvRows(options.data, ",")].map(({ values }) => ({
    question: values.text.replaceAll(/\s+/g, " ").trim(),
    label: values.category.replaceAll("_", " "),
  }));
  const labels = [...new Set(all.map(({ label }) => label))].sort().slice(0, INTENTS);
  const chosen = labels.flatMap((label) =>
    all.filter((row) => row.label === label).map((row, i) => ({ ...row, isHeldOut: i % 4 === 3 })),
  );
  return [false, true].map((isHeldOut) => chosen.filter((row) => row.isHeldOut === isHeldOut));
}

const promptOf = ({ question }) => `${question}\n`;
const endsWell = (text) => text.endsWith(".");
const labelIn = (text) => text.replace(/^(it is|intent:) /, "").replace(/[.]$/, "");

let numRuns = 0;
async function fit({ objective, parameters, frozen, initial, examples, measure, ...given }) {
  const started = performance.now();
  const { numSteps, ...schedule } = given;
  const result = await train({
    ...{ engine, objective: trainOnly(objective, parameters), frozen, initialWeights: initial },
    ...{ examples, measure: (arena) => measure(new Map([...frozen, ...arena.weights()])) },
    options: trainOptions({
      ...{ steps: numSteps, contextLength: CONTEXT, batchSize: 32, weightDecay: 0.01, seed: 1 },
      ...{ validateEvery: numSteps, saveEvery: numSteps, warmupSteps: Math.ceil(numSteps / 20), ...schedule },
    }),
    ...{ identity: IDENTITY, resume: false, title: "bench", onEvent: () => {} },
    directory: join(directory, `${numRuns++}`),
  });
  const seconds = (performance.now() - started) / 1000;
  log(`  ${numSteps} steps in ${seconds.toFixed(0)} s: ${JSON.stringify(result.best)}`);
  return { ...result, seconds };
}

const [allKnown, allHeldOut] = readQuestions();
const tokenizer = trainByteBpe(
  allKnown.flatMap((row) => [promptOf(row), ...STYLES.map((style) => style(row.label))]),
  { vocabularySize: 768 },
);
const base = new Gpt2(
  gpt2Config({
    ...{ width: 96, numLayers: 2, numHeads: 4, contextLength: CONTEXT },
    vocabularySize: tokenizer.vocabularySize,
  }),
);
const [known, heldOut] = [allKnown, allHeldOut].map((rows) =>
  rows.filter((row) => tokenizer.encode(promptOf(row)).length <= QUESTION_TOKENS),
);
log(`${known.length} questions of ${INTENTS} intents, ${heldOut.length} held out`);

// Supervised: every question with every style, so that each is as likely as another.

const rowsOf = (rows) =>
  rows.flatMap((row) =>
    STYLES.map((style) => instructionRow(tokenizer, { prompt: promptOf(row), completion: style(row.label) })),
  );
const batching = { batchSize: 32, contextLength: CONTEXT };
const supervised = await fit({
  objective: new NextToken(base),
  ...{ parameters: base.parameters, frozen: new Map() },
  initial: initializeParameters(base.parameters, new Random(1)),
  examples: rowStream(rowsOf(known), { ...batching, seed: 1 }),
  measure: (weights) => new RowMeasure(engine, base, weights, rowsOf(heldOut), batching),
  ...{ numSteps: steps(400), learningRate: 3e-3 },
});
const reference = { model: base, weights: supervised.bestWeights };

// Preferences: the style with the full stop against one of the others.

function pairsOf(rows, seed) {
  const random = new Random(seed);
  const preferences = rows.map((row) => ({
    prompt: promptOf(row),
    chosen: STYLES[0](row.label),
    rejected: STYLES[1 + random.integer(STYLES.length - 1)](row.label),
  }));
  return preferenceRows(preferences, { tokenizer, contextLength: CONTEXT });
}

/** Half of the pairs, drawn at random, the other way round. */
function turnHalf(pairs, seed) {
  const order = new Random(seed).permutation(pairs.length);
  const turned = new Set(order.subarray(0, pairs.length / 2));
  return pairs.map((pair, i) =>
    turned.has(i) ? { ...pair, chosen: pair.rejected, rejected: pair.chosen } : pair,
  );
}

const adapt = () => new AdaptedDecoder(base, new Lora(base, { rank: 8, alpha: 16, targets: "all-linear" }));
const evaluated = { pairs: pairsOf(heldOut, 12) };
evaluated.reference = await completionScores(engine, reference, sidesOf(evaluated.pairs));

async function tune(pairs) {
  const model = adapt();
  const objective = new Dpo(model, { beta: 0.1, supervised: 1 });
  const scores = await completionScores(engine, reference, sidesOf(pairs));
  const { adapter } = model;
  const result = await fit({
    ...{ objective, parameters: adapter.parameters, frozen: reference.weights },
    initial: initializeParameters(adapter.parameters, new Random(2)),
    examples: preferenceStream({ objective, pairs, reference: scores, ...batching, seed: 3 }),
    measure: (weights) => dpoMeasure({ engine, objective, weights, ...evaluated }),
    ...{ numSteps: steps(150), learningRate: 1e-3 },
  });
  return { model, weights: new Map([...reference.weights, ...result.bestWeights]), result };
}

/** Of pairs held out: the share of which the policy's reward is higher on the chosen side. */
async function pairAccuracy(policy, pairs) {
  const sides = sidesOf(pairs);
  const own = await completionScores(engine, policy, sides);
  const before = await completionScores(engine, reference, sides);
  return judgePairs(own.map((score, i) => score - before[i])).accuracy;
}

async function write(model, temperature, seed) {
  const writing = { tokenizer, maxTokens: ANSWER_TOKENS, temperature, seed };
  return (await writeCompletions(engine, model, heldOut.map(promptOf), writing)).map(([one]) => one);
}

async function judge(model) {
  const [drawn, greedy] = [await write(model, 1, 7), await write(model, 0, 7)];
  const right = greedy.filter(({ text }, i) => labelIn(text) === heldOut[i].label).length;
  const well = drawn.filter(({ text }) => endsWell(text)).length;
  const divergence = await measureDivergence(
    engine,
    model,
    reference,
    drawn.map(({ row }) => row),
  );
  log(
    `  right ${right}, with a full stop ${well} of ${heldOut.length}; ${divergence.natsPerText} nats a text`,
  );
  return { drawn, accuracy: right / heldOut.length, endsWell: well / heldOut.length, divergence };
}

/** Wins of drawn answers by the rule, a tie counting half. */
function winRate(one, other) {
  const points = one.map(({ text }, i) => (Number(endsWell(text)) - Number(endsWell(other[i].text)) + 1) / 2);
  return points.reduce((sum, point) => sum + point, 0) / points.length;
}

const before = await judge(reference);
const trainingPairs = pairsOf(known, 11);
const tuned = await tune(trainingPairs);
const after = await judge(tuned);
const control = await tune(turnHalf(trainingPairs, 13));
const controlled = await judge(control);

// A reward model of the same pairs, and GRPO with a reward that a rule gives: the right label and the full stop.

const rewardModel = new RewardModel(base);
const modelling = new RewardModelling(rewardModel, { centring: 0.01 });
const rewarded = await fit({
  ...{ objective: modelling, parameters: rewardModel.parameters, frozen: new Map() },
  initial: new Map([...reference.weights, ...initializeParameters([rewardModel.head], new Random(4))]),
  examples: preferenceStream({ objective: modelling, pairs: trainingPairs, ...batching, seed: 5 }),
  measure: (weights) => rewardMeasure(engine, rewardModel, weights, evaluated.pairs),
  ...{ numSteps: steps(60), learningRate: 3e-4 },
});

const policy = adapt();
const grpo = new Grpo(policy, { maxTokens: ANSWER_TOKENS, beta: 0.02 });
const tasksOf = (rows) => rows.map((row) => ({ prompt: promptOf(row), answer: row.label }));
const reward = (text, { answer }) => Number(labelIn(text) === answer) + Number(endsWell(text));
const improved = await (async () => {
  const frozen = reference.weights;
  const rounds = { tasksPerRound: 8, groupSize: 8, innerEpochs: 2, batchSize: 32, seed: 6 };
  return fit({
    ...{ objective: grpo, parameters: policy.adapter.parameters, frozen },
    initial: initializeParameters(policy.adapter.parameters, new Random(2)),
    examples: (arena) =>
      new GrpoStream({
        ...{ engine, objective: grpo, tokenizer, tasks: tasksOf(known), reward, reference, ...rounds },
        weights: new Map([...frozen, ...arena.weights()]),
      }),
    measure: (weights) =>
      taskMeasure({ engine, objective: grpo, weights, tokenizer, tasks: tasksOf(heldOut), reward, seed: 8 }),
    ...{ numSteps: steps(160), learningRate: 1e-3, weightDecay: 0 },
  });
})();
const written = await judge({
  model: policy,
  weights: new Map([...reference.weights, ...improved.bestWeights]),
});

const shuffledHeldOut = turnHalf(evaluated.pairs, 14);
console.log(
  JSON.stringify({
    heldOut: heldOut.length,
    seconds: {
      supervised: supervised.seconds,
      dpo: tuned.result.seconds,
      reward: rewarded.seconds,
      grpo: improved.seconds,
    },
    trainedParameters: tuned.model.adapter.parameters.reduce(
      (n, { shape }) => n + shape[0] * (shape[1] ?? 1),
      0,
    ),
    supervised: { accuracy: before.accuracy, endsWell: before.endsWell },
    dpo: {
      pairAccuracy: await pairAccuracy(tuned, evaluated.pairs),
      winRate: winRate(after.drawn, before.drawn),
      ...{ accuracy: after.accuracy, endsWell: after.endsWell, divergence: after.divergence },
    },
    control: {
      pairAccuracy: await pairAccuracy(control, evaluated.pairs),
      pairAccuracyShuffled: await pairAccuracy(control, shuffledHeldOut),
      winRate: winRate(controlled.drawn, before.drawn),
      accuracy: controlled.accuracy,
    },
    reward: { pairAccuracy: rewarded.best.value },
    grpo: {
      reward: improved.best.value,
      winRate: winRate(written.drawn, before.drawn),
      ...{ accuracy: written.accuracy, endsWell: written.endsWell, divergence: written.divergence },
    },
  }),
);
rmSync(directory, { recursive: true });
