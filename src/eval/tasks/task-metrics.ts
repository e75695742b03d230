import { answerF1, answerMatches } from "../metrics/answer-match.ts";
import { bleu, bleuCounts } from "../metrics/bleu.ts";
import {
  type BootstrapOptions,
  bootstrap,
  bootstrapDifference,
  type Interval,
} from "../metrics/bootstrap.ts";
import { calibrationError } from "../metrics/calibration.ts";
import { chrf, chrfCounts } from "../metrics/chrf.ts";
import { f1, matthews } from "../metrics/classification.ts";
import { passAtK } from "../metrics/pass-at-k.ts";
import { type RougeKind, rouge } from "../metrics/rouge.ts";
import type { Prediction } from "./prediction.ts";
import type { AnswerMethod } from "./task.ts";

/** A score over predictions, and which methods' predictions it can score. */
export interface TaskMetric {
  readonly methods: readonly AnswerMethod[];
  measure(predictions: readonly Prediction[], options?: BootstrapOptions): Interval;
  /** How far the first system is ahead of the second, on the same examples. */
  compare(first: readonly Prediction[], second: readonly Prediction[], options?: BootstrapOptions): Interval;
}

const TEXT = ["generate", "extract"] as const;
const ANSWERS = ["choice", ...TEXT] as const;

/** Every metric that tasks may name. ROUGE compares stems. All but bits per byte, perplexity and the calibration error are better when higher. */
export const TASK_METRICS: ReadonlyMap<string, TaskMetric> = new Map<string, TaskMetric>([
  ["accuracy", mean(["choice", "pair"], ({ answer, expected }) => Number(answer === expected[0]))],
  ["macroF1", of(["choice"], toPair, (pairs) => f1(pairs, "macro"))],
  ["weightedF1", of(["choice"], toPair, (pairs) => f1(pairs, "weighted"))],
  ["matthews", of(["choice"], toPair, matthews)],
  ["calibrationError", of(["choice"], toProbabilities, (records) => calibrationError(records))],
  ["exact", mean(ANSWERS, ({ answer, expected }) => Number(expected.includes(answer)))],
  ["format", mean(TEXT, ({ picked }) => Number(picked !== undefined))],
  ["number", mean(TEXT, ({ picked, expectedPick }) => Number(sameNumber(picked, expectedPick)))],
  ["answerExact", mean(TEXT, ({ answer, expected }) => Number(answerMatches(answer, expected)))],
  ["answerF1", mean(TEXT, ({ answer, expected }) => answerF1(answer, expected))],
  [
    "bleu",
    of(
      TEXT,
      ({ answer, expected }) => bleuCounts(answer, expected),
      (counts) => bleu(counts),
    ),
  ],
  ["chrf", of(TEXT, ({ answer, expected }) => chrfCounts(answer, expected), chrf)],
  ["chrf++", of(TEXT, ({ answer, expected }) => chrfCounts(answer, expected, { words: true }), chrf)],
  ...(["rouge1", "rouge2", "rougeL", "rougeLsum"] as const).map((kind) => [kind, rougeMetric(kind)] as const),
  ...[1, 5, 10, 100].map((k) => [`pass@${k}`, passMetric(k)] as const),
  ["bitsPerByte", ofSums(({ nats, bytes }) => nats / Math.LN2 / bytes)],
  ["perplexity", ofSums(({ nats, tokens }) => Math.exp(nats / tokens))],
]);

/** A metric as a function of what each prediction comes to, which is worked out once and not for every resample. */
function of<S>(
  methods: readonly AnswerMethod[],
  prepare: (prediction: Prediction) => S,
  score: (prepared: readonly S[]) => number,
): TaskMetric {
  return {
    methods,
    measure: (predictions, options) => bootstrap(predictions.map(prepare), score, options),
    compare: (first, second, options) =>
      bootstrapDifference(first.map(prepare), second.map(prepare), score, options),
  };
}

function mean(methods: readonly AnswerMethod[], valueFor: (prediction: Prediction) => number): TaskMetric {
  return of(methods, valueFor, (values) => values.reduce((sum, value) => sum + value, 0) / values.length);
}

function rougeMetric(kind: RougeKind): TaskMetric {
  return mean(TEXT, ({ answer, expected }) => rouge(kind, answer, expected, { stem: true }).f1);
}

function passMetric(k: number): TaskMetric {
  return mean(["program"], ({ programs = [] }) => {
    const passed = programs.filter(({ status }) => status === "passed").length;
    return passAtK(programs.length, passed, k);
  });
}

type Likelihood = NonNullable<Prediction["likelihood"]>;

function ofSums(score: (sums: Likelihood) => number): TaskMetric {
  const none = { nats: 0, bytes: 0, tokens: 0 };
  return of(
    ["perplexity"],
    ({ likelihood = none }) => likelihood,
    (all) =>
      score(
        all.reduce(
          (sum, one) => ({
            nats: sum.nats + one.nats,
            bytes: sum.bytes + one.bytes,
            tokens: sum.tokens + one.tokens,
          }),
          none,
        ),
      ),
  );
}

function toPair({ answer, expected }: Prediction) {
  return { expected: expected[0]!, predicted: answer };
}

/** A prediction without probabilities is certain of its answer. */
function toProbabilities({ answer, expected, probabilities }: Prediction) {
  const entries = Object.entries(probabilities ?? { [answer]: 1 });
  const place = entries.findIndex(([label]) => label === expected[0]);
  const values = entries.map(([, probability]) => probability);
  return place >= 0
    ? { probabilities: values, expected: place }
    : { probabilities: [...values, 0], expected: values.length };
}

function sameNumber(a: string | undefined, b: string | undefined): boolean {
  const read = (text: string | undefined) => Number.parseFloat((text ?? "").replaceAll(",", ""));
  return read(a) === read(b);
}
