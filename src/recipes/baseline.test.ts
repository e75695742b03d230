import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { writeDataset } from "../../test/tiny-run.ts";
import { trainByteBpe } from "../codecs/train-byte-bpe.ts";
import { trainNgram } from "../eval/ngram.ts";
import { scoreNgram } from "./baseline.ts";

let directory = "";
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "plinth-baseline-"));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const TRAIN = ["the cat sat on the mat; ".repeat(30), "naïve café ".repeat(20)];
const HELD_OUT = "the mat sat on the café ".repeat(8);

test("the n-gram of bytes sees the text behind the tokens, separators left out", () => {
  const tokenizer = trainByteBpe(TRAIN, { vocabularySize: 270 });
  const ids = (text: string) => Array.from(tokenizer.encode(text));
  const tokens = [...ids(TRAIN[0]!), tokenizer.endOfTextId, ...ids(TRAIN[1]!)];
  const train = [writeDataset(directory, "train.bin", tokens)];
  const heldOut = [writeDataset(directory, "held-out.bin", [tokenizer.endOfTextId, ...ids(HELD_OUT)])];
  const bytes = Buffer.from(TRAIN.join(""));
  const model = trainNgram(bytes, { order: 5, vocabularySize: 256 });
  let nats = 0;
  const text = Buffer.from(HELD_OUT);
  for (let i = 0; i < text.length; i++) {
    nats -= model.logProbability([...text.subarray(Math.max(0, i - 4), i)], text[i]!);
  }
  const { label, bitsPerByte } = scoreNgram(tokenizer, train, heldOut);
  expect(label).toBe("5-gram of bytes");
  expect(bitsPerByte).toBeCloseTo(nats / Math.log(2) / text.length, 9);
  expect(bitsPerByte).toBeLessThan(2);
});
