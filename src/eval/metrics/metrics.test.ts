import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { Random } from "../../core/random.ts";
import { answerF1, answerMatches, normalizeAnswer } from "./answer-match.ts";
import { bleu, bleuCounts, bleuWords } from "./bleu.ts";
import { bootstrap, bootstrapDifference, percentile } from "./bootstrap.ts";
import { brierScore, calibrationError, logLoss } from "./calibration.ts";
import { chrf, chrfCounts } from "./chrf.ts";
import { accuracy, binaryF1, confusionMatrix, f1, labelQualities, matthews } from "./classification.ts";
import { passAtK } from "./pass-at-k.ts";
import { porterStem } from "./porter-stem.ts";
import { meanAbsoluteError, meanSquaredError, pearson, spearman } from "./regression.ts";
import { type RougeKind, rouge } from "./rouge.ts";
import { spanQuality, taggedSpans } from "./spans.ts";

type Numbers<K extends string> = Readonly<Record<K, number>>;
type Triple = readonly [precision: number, recall: number, f1: number];

/** What the reference implementations say: `tools/golden/metrics.py`. */
interface Golden {
  readonly classification: readonly (Numbers<"accuracy" | "matthews" | "macro" | "micro" | "weighted"> & {
    readonly name: string;
    readonly expected: readonly string[];
    readonly predicted: readonly string[];
    readonly labels: readonly string[];
    readonly confusion: readonly (readonly number[])[];
    readonly byLabel: readonly (Numbers<"precision" | "recall" | "f1" | "support"> & { label: string })[];
  })[];
  readonly probabilities: readonly (Numbers<"logLoss" | "brier" | "calibration15" | "calibration10"> & {
    readonly probabilities: readonly (readonly number[])[];
    readonly expected: readonly number[];
  })[];
  readonly regression: readonly (Numbers<"mse" | "mae" | "pearson" | "spearman"> & {
    readonly name: string;
    readonly expected: readonly number[];
    readonly predicted: readonly number[];
  })[];
  readonly texts: {
    readonly cases: readonly (Numbers<"bleu" | "bleuPlain" | "chrf" | "chrfWords"> & {
      readonly text: string;
      readonly references: readonly string[];
      readonly words: readonly string[];
      readonly plain: Readonly<Record<RougeKind, Triple>>;
      readonly stemmed: Readonly<Record<RougeKind, Triple>>;
    })[];
    readonly corpus: Numbers<"bleu" | "chrf" | "chrfWords">;
  };
  readonly words: string;
  readonly stems: string;
  readonly answers: readonly (Numbers<"exact" | "f1"> & {
    readonly answer: string;
    readonly right: readonly string[];
    readonly normalized: string;
  })[];
  readonly spans: Numbers<"precision" | "recall" | "f1"> & {
    readonly pairs: readonly {
      readonly expected: readonly string[];
      readonly predicted: readonly string[];
      readonly spans: readonly (readonly [type: string, start: number, end: number])[];
    }[];
  };
  readonly passAtK: readonly Numbers<"n" | "c" | "k" | "value">[];
  readonly bootstrap: Numbers<"low" | "high"> & {
    readonly values: readonly number[];
    readonly percentiles: readonly (readonly [share: number, value: number])[];
  };
}

const FIXTURE = new URL("../../../test/fixtures/metrics/golden.json", import.meta.url);
const golden = JSON.parse(readFileSync(FIXTURE, "utf8")) as Golden;

function expectClose(actual: number, expected: number, what = ""): void {
  expect(Math.abs(actual - expected), `${what}: ${actual} against ${expected}`).toBeLessThan(1e-9);
}

function pairsOf<T>(expected: readonly T[], predicted: readonly T[]): { expected: T; predicted: T }[] {
  return expected.map((one, i) => ({ expected: one, predicted: predicted[i]! }));
}

describe("labels, against scikit-learn", () => {
  test.each(golden.classification)("$name", (one) => {
    const pairs = pairsOf(one.expected, one.predicted);
    expectClose(accuracy(pairs), one.accuracy);
    expectClose(matthews(pairs), one.matthews, "Matthews");
    for (const average of ["macro", "micro", "weighted"] as const) {
      expectClose(f1(pairs, average), one[average], average);
    }
    const { labels, counts } = confusionMatrix(pairs);
    expect(labels).toEqual(one.labels);
    expect(counts.map((row) => Array.from(row))).toEqual(one.confusion);
    const qualities = labelQualities(pairs);
    expect(qualities.map(({ label }) => label)).toEqual(one.labels);
    for (const [i, expected] of one.byLabel.entries()) {
      for (const key of ["precision", "recall", "f1", "support"] as const) {
        expectClose(qualities[i]![key], expected[key], `${expected.label} ${key}`);
      }
      expectClose(binaryF1(pairs, expected.label), expected.f1);
    }
  });

  test("nothing to count is refused", () => {
    for (const metric of [accuracy, confusionMatrix, matthews, labelQualities]) {
      expect(() => metric([])).toThrow("expected at least one prediction, got none");
    }
    expect(binaryF1([{ expected: "a", predicted: "a" }], "b")).toBe(0);
  });
});

describe("probabilities, against scikit-learn and the definition", () => {
  test.each(golden.probabilities.map((one) => ({ ...one, size: one.probabilities[0]!.length })))(
    "$size classes",
    (one) => {
      const records = one.probabilities.map((probabilities, i) => ({
        probabilities,
        expected: one.expected[i]!,
      }));
      expectClose(logLoss(records), one.logLoss, "log loss");
      expectClose(brierScore(records), one.brier, "Brier");
      expectClose(calibrationError(records), one.calibration15, "15 bins");
      expectClose(calibrationError(records, 10), one.calibration10, "10 bins");
    },
  );

  test.each([
    { records: [], message: "at least one record, got none" },
    { records: [{ probabilities: [0.5, 0.6], expected: 0 }], message: "record 0: expected probabilities" },
    { records: [{ probabilities: [Number.NaN, 1], expected: 0 }], message: "add up to NaN" },
    { records: [{ probabilities: [1, 0], expected: 2 }], message: "a class in [0, 2), got 2" },
  ])("refuses: $message", ({ records, message }) => {
    for (const metric of [logLoss, brierScore, calibrationError])
      expect(() => metric(records)).toThrow(message);
  });
});

describe("numbers, against scikit-learn and scipy", () => {
  test.each(golden.regression)("$name", (one) => {
    const pairs = pairsOf(one.expected, one.predicted);
    expectClose(meanSquaredError(pairs), one.mse);
    expectClose(meanAbsoluteError(pairs), one.mae);
    expectClose(pearson(pairs), one.pearson);
    expectClose(spearman(pairs), one.spearman);
  });

  test("a constant side has no correlation; too few or unusable pairs are refused", () => {
    const constant = pairsOf([1, 1, 1], [1, 2, 3]);
    expect(pearson(constant)).toBeNaN();
    expect(spearman(constant)).toBeNaN();
    expect(() => pearson(pairsOf([1], [1]))).toThrow("at least 2 pairs, got 1");
    expect(() => meanSquaredError([])).toThrow("at least 1 pairs, got 0");
    expect(() => meanSquaredError(pairsOf([1, 2], [1, Number.NaN]))).toThrow("pair 1: expected two finite");
  });
});

describe("texts, against sacrebleu and rouge_score", () => {
  test.each(golden.texts.cases)("$text", (one) => {
    expect(bleuWords(one.text)).toEqual(one.words);
    const counts = bleuCounts(one.text, one.references);
    expectClose(bleu([counts], { effectiveOrder: true }), one.bleu, "sentence BLEU");
    expectClose(bleu([counts]), one.bleuPlain, "BLEU");
    expectClose(chrf([chrfCounts(one.text, one.references)]), one.chrf, "chrF");
    expectClose(chrf([chrfCounts(one.text, one.references, { words: true })]), one.chrfWords, "chrF++");
    for (const stem of [false, true]) {
      for (const [kind, expected] of Object.entries(stem ? one.stemmed : one.plain)) {
        const { precision, recall, f1 } = rouge(kind as RougeKind, one.text, one.references, { stem });
        for (const [i, value] of [precision, recall, f1].entries()) {
          expectClose(value, expected[i]!, `${kind}, stem ${stem}, ${i}`);
        }
      }
    }
  });

  test("a corpus is scored from summed counts, not as a mean", () => {
    const { cases, corpus } = golden.texts;
    expectClose(bleu(cases.map(({ text, references }) => bleuCounts(text, references))), corpus.bleu);
    expectClose(chrf(cases.map(({ text, references }) => chrfCounts(text, references))), corpus.chrf);
    const withWords = cases.map(({ text, references }) => chrfCounts(text, references, { words: true }));
    expectClose(chrf(withWords), corpus.chrfWords);
  });

  test("nothing to compare with is refused", () => {
    expect(() => bleuCounts("a", [])).toThrow("BLEU: expected at least one reference, got none");
    expect(() => chrfCounts("a", [])).toThrow("chrF: expected at least one reference, got none");
    expect(() => rouge("rougeL", "a", [])).toThrow("rougeL: expected at least one reference, got none");
    expect(() => bleu([])).toThrow("at least one text");
    expect(() => chrf([])).toThrow("at least one text");
  });
});

test("stems, against NLTK", () => {
  const stems = golden.stems.split(" ");
  const words = golden.words.split(" ");
  expect(words.length).toBeGreaterThan(3000);
  expect(words.filter((word, i) => porterStem(word) !== stems[i])).toEqual([]);
});

test.each(golden.answers)(
  "answer $answer, against SQuAD's script",
  ({ answer, right, normalized, exact, f1 }) => {
    expect(normalizeAnswer(answer)).toBe(normalized);
    expect(answerMatches(answer, right)).toBe(exact === 1);
    expectClose(answerF1(answer, right), f1);
  },
);

test("a question without right answers is refused", () => {
  expect(() => answerF1("a", [])).toThrow("at least one right answer, got none");
  expect(() => answerMatches("a", [])).toThrow("at least one right answer, got none");
});

describe("spans, against seqeval", () => {
  test("its reading of tags", () => {
    for (const { expected, spans } of golden.spans.pairs) {
      const found = taggedSpans(expected).map(({ type, start, end }) => [type, start, end]);
      expect(found, expected.join(" ")).toEqual(spans);
    }
  });

  test("its scores", () => {
    const quality = spanQuality(golden.spans.pairs);
    for (const key of ["precision", "recall", "f1"] as const) expectClose(quality[key], golden.spans[key]);
  });

  test("bad tags are refused", () => {
    expect(() => taggedSpans(["O", "X-PER"])).toThrow(
      'tag 1: expected B, I, E or S, - and a type, or O, got "X-PER"',
    );
    expect(() => spanQuality([{ expected: ["O"], predicted: [] }])).toThrow("text 0: expected 1 tags, got 0");
    expect(() => spanQuality([])).toThrow("at least one text");
  });
});

describe("pass@k", () => {
  test.each(golden.passAtK)("$c of $n right, k = $k", ({ n, c, k, value }) => {
    expectClose(passAtK(n, c, k), value);
  });

  test.each([
    [0, 0, 1, "numSamples"],
    [5, 6, 1, "numCorrect"],
    [5, -1, 1, "numCorrect"],
    [5, 2, 6, "k: expected an integer in [1, 5], got 6"],
    [5, 2, 0, "k"],
  ])("refuses passAtK(%d, %d, %d)", (n, c, k, message) => expect(() => passAtK(n, c, k)).toThrow(message));
});

describe("bootstrap", () => {
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

  test("percentiles are numpy's", () => {
    const sorted = golden.bootstrap.values.toSorted((a, b) => a - b);
    for (const [share, value] of golden.bootstrap.percentiles) expectClose(percentile(sorted, share), value);
  });

  test("the interval is scipy's, as near as chance allows", () => {
    const { values, low, high } = golden.bootstrap;
    const interval = bootstrap(values, mean, { numResamples: 20_000 });
    expectClose(interval.value, mean(values));
    expect(Math.abs(interval.low - low)).toBeLessThan(0.02 * (high - low));
    expect(Math.abs(interval.high - high)).toBeLessThan(0.02 * (high - low));
    expect(bootstrap(values, mean, { seed: 5 })).toEqual(bootstrap(values, mean, { seed: 5 }));
    expect(bootstrap(values, mean, { seed: 5 })).not.toEqual(bootstrap(values, mean, { seed: 6 }));
  });

  test("covers the true mean about as often as it says", () => {
    const random = new Random(8);
    let covered = 0;
    for (let run = 0; run < 300; run++) {
      const values = Array.from({ length: 80 }, () => random.normal());
      const { low, high } = bootstrap(values, mean, { numResamples: 300, seed: run });
      covered += Number(low <= 0 && 0 <= high);
    }
    expect(covered / 300).toBeGreaterThan(0.91);
    expect(covered / 300).toBeLessThan(0.98);
  });

  test("a paired difference is narrower than the scores it is of", () => {
    const random = new Random(4);
    const hardness = Array.from({ length: 200 }, () => random.normal());
    const better = hardness.map((value) => value + 0.1 + 0.1 * random.normal());
    const { value, low, high } = bootstrapDifference(better, hardness, mean);
    expectClose(value, mean(better) - mean(hardness));
    expect(low).toBeGreaterThan(0);
    const alone = bootstrap(better, mean);
    expect(high - low).toBeLessThan(0.3 * (alone.high - alone.low));
    expect(() => bootstrapDifference([1], [1, 2], mean)).toThrow("1 records of the second system, got 2");
  });

  test("records of one origin are drawn together, which widens the interval", () => {
    const random = new Random(2);
    const origins = Array.from({ length: 400 }, (_, i) => `page ${Math.floor(i / 20)}`);
    const means = Array.from({ length: 20 }, () => random.normal());
    const values = origins.map((_, i) => means[Math.floor(i / 20)]! + 0.1 * random.normal());
    const alone = bootstrap(values, mean);
    const together = bootstrap(values, mean, { origins });
    expect(together.high - together.low).toBeGreaterThan(3 * (alone.high - alone.low));
    expect(() => bootstrap(values, mean, { origins: ["a"] })).toThrow("400 origins, one a record, got 1");
  });

  test("resamples without a score are left out; bad options are refused", () => {
    const oddOnly = (values: readonly number[]) => (values[0]! % 2 === 1 ? mean(values) : Number.NaN);
    expect(bootstrap([1, 2, 3], oddOnly).low).toBeGreaterThanOrEqual(1);
    expect(bootstrap([1], () => Number.NaN)).toEqual({
      value: Number.NaN,
      low: Number.NaN,
      high: Number.NaN,
    });
    expect(() => bootstrap([], mean)).toThrow("at least one record, got none");
    expect(() => bootstrap([1], mean, { numResamples: 0 })).toThrow("numResamples: expected an integer ≥ 1");
    expect(() => bootstrap([1], mean, { confidence: 1 })).toThrow("confidence: expected a number in (0, 1)");
  });
});
