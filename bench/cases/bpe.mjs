/** Training a byte-level BPE tokenizer, encoding with it, and how few tokens that takes. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gatherText, SHARED_DATA } from "../corpus.mjs";
import { alternate, median, spread } from "../measure.mjs";
import { runWorkload } from "../peer.mjs";
import { judge, skip } from "../row.mjs";

export const summary =
  "BPE training on 10 MB, encoding in a cold process, tokens against Hugging Face's trainer";

const TEXT_BYTES = 10_000_000;
const VOCABULARY = 4096;
const MAX_SECONDS = 10;
const MIN_MB_PER_SECOND = 5;

/** We may need 2 % more tokens than the recorded baseline. */
const COMPRESSION = 0.98;

export async function* measure({ repeats, log }) {
  const directory = mkdtempSync(join(tmpdir(), "plinth-bench-"));
  try {
    yield* speed(directory, repeats, log);
    yield* compression(directory);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

async function* speed(directory, repeats, log) {
  const text = gatherText(TEXT_BYTES);
  const [train, other, tokenizer] = ["train.txt", "other.txt", "t.json"].map((name) => join(directory, name));
  writeFileSync(train, text.train);
  writeFileSync(other, text.other);
  log(`bpe: ${text.description}`);
  const values = await alternate(
    {
      seconds: async () => (await runWorkload("bpe-train.mjs", train, `${VOCABULARY}`, tokenizer)).seconds,
      megabytesPerSecond: async () =>
        TEXT_BYTES / 1e6 / (await runWorkload("bpe-encode.mjs", other, tokenizer)).seconds,
    },
    repeats,
    log,
  );
  const note = text.description;
  const row = (name, unit, of, rule) =>
    judge({ name, value: median(of), unit, rule, spread: spread(of), note });
  yield row("bpe/train", "s", values.seconds, ["value", "≤", MAX_SECONDS]);
  yield row("bpe/encode", "MB/s", values.megabytesPerSecond, ["value", "≥", MIN_MB_PER_SECOND]);
}

/** Trains and encodes the baselines' text, split where they split it. */
async function* compression(directory) {
  const textPath = join(SHARED_DATA, "tinyshakespeare/input.txt");
  const baselines = join(SHARED_DATA, "tok-train-baselines/baselines.json");
  const rule = ["ratio", "≥", COMPRESSION];
  if (!existsSync(baselines) || !existsSync(textPath)) {
    yield skip({ name: "bpe/tokens", unit: "tokens", rule, skipped: `${SHARED_DATA} is not here` });
    return;
  }
  const text = readFileSync(textPath);
  const recorded = JSON.parse(readFileSync(baselines, "utf8"));
  const alike = ({ corpus, kind }) => corpus === "tinyshakespeare" && kind.startsWith("byte-level BPE");
  for (const { kind, vocab, val_tokens: peerValue, val_bytes: heldOut } of recorded.filter(alike)) {
    const [train, validation, tokenizer] = ["train", "validation", "json"].map((name) =>
      join(directory, name),
    );
    writeFileSync(train, text.subarray(0, -heldOut));
    writeFileSync(validation, text.subarray(-heldOut));
    await runWorkload("bpe-train.mjs", train, `${vocab}`, tokenizer);
    const { tokens: value } = await runWorkload("bpe-encode.mjs", validation, tokenizer);
    const peer = `${kind.split(", ").at(-1)} (recorded)`;
    const ratio = peerValue / value;
    yield judge({ name: `bpe/tokens-${vocab}`, value, unit: "tokens", peer, peerValue, ratio, rule });
  }
}
