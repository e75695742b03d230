import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { fitContext } from "./fit-context.ts";
import { checkLabels, classWeights, collectLabels, positiveWeights } from "./labels.ts";
import { chooseBuckets } from "./length-buckets.ts";
import type { Row } from "./load-examples.ts";
import { batchAll, RowBatches, type RowBatchOptions } from "./row-batches.ts";
import { splitRows } from "./split-rows.ts";

const labelled = (...labels: string[]) =>
  labels.map((label, i) => ({ labels: [label], where: `f:${i + 1}` }));

describe("labels", () => {
  test("are in order, numbers by value", () => {
    expect(collectLabels(labelled("b", "a", "b"))).toEqual({ names: ["a", "b"], counts: [1, 2] });
    expect(collectLabels(labelled("10", "9", "-1")).names).toEqual(["-1", "9", "10"]);
  });

  test("of a single class are refused", () => {
    expect(() => collectLabels(labelled("a", "a"))).toThrow(
      'training labels: expected at least two classes, got only "a", in 2 rows.',
    );
    expect(() => collectLabels([])).toThrow("got no labels");
  });

  test("that training lacks are refused, with where and how many", () => {
    const known = collectLabels(labelled("cat", "dog"));
    expect(() => checkLabels(labelled("cat", "cats", "cow"), known)).toThrow(
      'f:2 label: expected one of the 2 labels seen in training, got "cats", and 1 more such labels. Did you mean "cat"?',
    );
    checkLabels(labelled("dog"), known);
  });

  test("weights are scikit-learn's balanced ones, of mean 1 over the examples", () => {
    // compute_class_weight("balanced", classes=[0, 1, 2], y=[0]*5 + [1]*3 + [2]*2)
    const weights = classWeights({ names: ["0", "1", "2"], counts: [5, 3, 2] });
    expect(weights[0]).toBeCloseTo(0.66666667, 7);
    expect(weights[1]).toBeCloseTo(1.11111111, 7);
    expect(weights[2]).toBeCloseTo(1.66666667, 7);
    expect(5 * weights[0]! + 3 * weights[1]! + 2 * weights[2]!).toBeCloseTo(10, 12);
  });

  test("of several labels, weights make both sides equal, as PyTorch's pos_weight does", () => {
    // Its documentation: "100 positive and 300 negative examples ... pos_weight should be equal to 300 / 100".
    expect(positiveWeights([100, 200, 0, 400], 400)).toEqual([3, 1, 1, 1]);
  });
});

describe("the split", () => {
  const rowsOf = (labels: readonly string[], group?: (i: number) => string): Row<string>[] =>
    labels.map((example, i) => ({ example, where: `f:${i}`, ...(group && { group: group(i) }) }));
  const options = { validationShare: 0.25, seed: 3, stratum: (label: string) => label };

  test("keeps each class's share, and is the same for the same seed", () => {
    const rows = rowsOf([...Array(80).fill("a"), ...Array(20).fill("b")]);
    const { training, validation } = splitRows(rows, options);
    const count = (side: Row<string>[], label: string) =>
      side.filter(({ example }) => example === label).length;
    expect([count(validation, "a"), count(validation, "b")]).toEqual([20, 5]);
    expect(training.length).toBe(75);
    expect(splitRows(rows, options)).toEqual({ training, validation });
    expect(splitRows(rows, { ...options, seed: 4 })).not.toEqual({ training, validation });
  });

  test("loses and doubles no row, and leaves every class in training", () => {
    const labels = fc.array(fc.constantFrom("a", "b", "c", "d"), { minLength: 20, maxLength: 60 });
    fc.assert(
      fc.property(labels, fc.nat(), (list, seed) => {
        const rows = rowsOf(list);
        const { training, validation } = splitRows(rows, { ...options, seed });
        expect([...training, ...validation].map(({ where }) => where).sort()).toEqual(
          rows.map(({ where }) => where).sort(),
        );
        expect(new Set(training.map(({ example }) => example))).toEqual(new Set(list));
        expect(Math.abs(validation.length - list.length / 4)).toBeLessThanOrEqual(2);
      }),
      { numRuns: 200, seed: 1 },
    );
  });

  test("keeps groups whole", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(9), { minLength: 40, maxLength: 80 }), fc.nat(), (groups, seed) => {
        fc.pre(new Set(groups).size > 7);
        const rows = rowsOf(Array(groups.length).fill("a"), (i) => `${groups[i]}`);
        const { training, validation } = splitRows(rows, { ...options, seed });
        const sides = new Set(validation.map(({ group }) => group));
        expect(training.some(({ group }) => sides.has(group))).toBe(false);
      }),
      { numRuns: 100, seed: 1 },
    );
  });

  test("that leaves a side empty is refused", () => {
    expect(() => splitRows(rowsOf(["a"]), options)).toThrow("expected at least one row on each side");
    expect(() =>
      splitRows(
        rowsOf(["a", "b"], () => "one"),
        options,
      ),
    ).toThrow("as groups stay together");
    expect(() => splitRows(rowsOf(["a", "b"]), { ...options, validationShare: 1 })).toThrow(
      "between 0 and 1",
    );
  });
});

describe("padded lengths", () => {
  const waste = (lengths: readonly number[], buckets: readonly number[]) =>
    lengths.reduce((sum, length) => sum + buckets.find((bucket) => length <= bucket)!, 0);

  test("are the best of all choices", () => {
    const lengths = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(lengths, fc.integer({ min: 1, max: 3 }), (list, maxBuckets) => {
        const buckets = chooseBuckets(list, { maxBuckets, multiple: 4, maxLength: 38 + 2 });
        expect(buckets.length).toBeLessThanOrEqual(maxBuckets);
        const candidates = [...new Set(list.map((length) => Math.ceil(length / 4) * 4))].sort(
          (a, b) => a - b,
        );
        const choices = subsets(candidates.slice(0, -1), maxBuckets - 1);
        const best = Math.min(...choices.map((chosen) => waste(list, [...chosen, candidates.at(-1)!])));
        expect(waste(list, buckets)).toBe(best);
      }),
      { numRuns: 200, seed: 1 },
    );
  });

  test("end at the longest length allowed, multiple or not", () => {
    expect(chooseBuckets([3, 10], { maxBuckets: 4, multiple: 8, maxLength: 10 })).toEqual([8, 10]);
    expect(() => chooseBuckets([11], { maxBuckets: 4, multiple: 8, maxLength: 10 })).toThrow("at least 11");
  });

  function subsets(list: readonly number[], size: number): number[][] {
    if (list.length === 0 || size === 0) return [[]];
    const [first, ...rest] = list;
    return [...subsets(rest, size), ...subsets(rest, size - 1).map((chosen) => [first!, ...chosen])];
  }
});

describe("batches", () => {
  const lengths = Array.from({ length: 101 }, (_, i) => 1 + ((i * 37) % 64));
  const options: RowBatchOptions = { lengths, buckets: [8, 24, 64], maxRows: 16, tokenBudget: 256, seed: 5 };
  const epoch = (stream: RowBatches) => Array.from({ length: stream.batchesPerEpoch }, () => stream.next());

  test("have every row once an epoch, within the budget, all but one full", () => {
    const stream = new RowBatches(options);
    const first = epoch(stream);
    expect(first.flatMap(({ rows }) => rows).sort((a, b) => a - b)).toEqual([...lengths.keys()]);
    for (const { rows, paddedLength } of first) {
      expect(Math.max(...rows.map((row) => lengths[row]!))).toBeLessThanOrEqual(paddedLength);
      expect(rows.length * paddedLength).toBeLessThanOrEqual(256);
      expect(rows.length).toBeLessThanOrEqual(16);
    }
    const isFull = ({ rows, paddedLength }: { rows: readonly number[]; paddedLength: number }) =>
      rows.length === Math.min(16, Math.floor(256 / paddedLength));
    expect(first.filter((batch) => !isFull(batch)).length).toBeLessThanOrEqual(1);
    expect(stream.epochs).toBe(1);
    expect(epoch(stream)).not.toEqual(first);
  });

  test("continue from a cursor as they would have", () => {
    fc.assert(
      fc.property(fc.nat(60), (steps) => {
        const stream = new RowBatches(options);
        for (let i = 0; i < steps; i++) stream.next();
        const resumed = new RowBatches(options);
        resumed.restore(JSON.parse(JSON.stringify(stream.state())));
        for (let i = 0; i < 20; i++) expect(resumed.next()).toEqual(stream.next());
      }),
      { numRuns: 30, seed: 1 },
    );
  });

  test("refuse a cursor of other rows or settings", () => {
    const cursor = new RowBatches(options).state();
    expect(() => new RowBatches({ ...options, seed: 6 }).restore(cursor)).toThrow("data cursor fingerprint");
    expect(() => new RowBatches({ ...options, lengths: [1] }).restore(cursor)).toThrow("data cursor numRows");
  });

  test("refuse rows that fit nowhere", () => {
    expect(() => new RowBatches({ ...options, buckets: [8, 24] })).toThrow(
      /row \d+: expected at most 24 tokens/,
    );
    expect(() => new RowBatches({ ...options, tokenBudget: 60 })).toThrow(
      "tokenBudget: expected at least 64",
    );
    expect(() => new RowBatches({ ...options, lengths: [] })).toThrow("rows: expected at least one");
  });

  test("for measuring have every row once", () => {
    const batches = batchAll(options);
    expect(batches.flatMap(({ rows }) => rows).sort((a, b) => a - b)).toEqual([...lengths.keys()]);
    for (const { rows, paddedLength } of batches) expect(rows.length * paddedLength).toBeLessThanOrEqual(256);
  });
});

describe("rows longer than the context", () => {
  const rows = [4, 9, 12].map((numTokens, i) => ({ numTokens, where: `f:${i + 1}` }));
  const truncate = (row: (typeof rows)[number]) => ({ ...row, numTokens: 8 });

  test("are counted and refused, unless something else is asked for", () => {
    expect(() => fitContext(rows, 8, "refuse", truncate)).toThrow(
      "f:3: expected at most 8 tokens, the context of the model, got 12 tokens, and 2 of 3 rows are longer than that.",
    );
    expect(fitContext(rows, 12, "refuse", truncate)).toEqual({ rows, numLong: 0 });
    expect(fitContext(rows, 8, "drop", truncate)).toEqual({ rows: rows.slice(0, 1), numLong: 2 });
    const cut = fitContext(rows, 8, "truncate", truncate);
    expect(cut.rows.map(({ numTokens }) => numTokens)).toEqual([4, 8, 8]);
    expect(cut.numLong).toBe(2);
  });
});
