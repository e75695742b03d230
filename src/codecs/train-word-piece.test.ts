import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { ConfigError, DataError } from "../core/errors.ts";
import { trainCharTokenizer } from "./char-tokenizer.ts";
import { loadTokenizer, StreamDecoder, saveTokenizer } from "./tokenizer.ts";
import { trainWordPiece } from "./train-word-piece.ts";

const FIXTURES = new URL("../../test/fixtures/tokenizer/", import.meta.url).pathname;
const corpus: string[] = JSON.parse(readFileSync(join(FIXTURES, "corpus.json"), "utf8"));
const scratch = mkdtempSync(join(tmpdir(), "plinth-word-piece-"));
afterAll(() => rmSync(scratch, { recursive: true }));

describe("trainWordPiece", () => {
  it("joins the most frequent pairs, marking what is within words", () => {
    const tokenizer = trainWordPiece(["low low lower Löwest"], { vocabularySize: 15 });
    const tokens = Array.from({ length: 15 }, (_, id) => tokenizer.tokenText(id));
    expect(tokens.slice(0, 5)).toEqual(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]);
    expect(tokens.slice(5, 12)).toEqual(["l", "##e", "##o", "##r", "##s", "##t", "##w"]);
    expect(tokens.slice(12)).toEqual(["lo", "low", "lowe"]);
    expect(tokenizer.specials).toEqual({ pad: 0, unk: 1, cls: 2, sep: 3, mask: 4 });
  });

  it("gives inputs for BERT, and their words back", () => {
    const tokenizer = trainWordPiece(corpus, { vocabularySize: 700 });
    const input = tokenizer.encodeInput("the [MASK] of it", "so what", { marked: true });
    expect(input.ids[0]).toBe(2);
    expect([...input.ids].filter((id) => id === 3)).toHaveLength(2);
    expect(input.ids).toContain(4);
    const ids = tokenizer.encode("the quick one");
    expect(tokenizer.decode(ids)).toBe("the quick one");
    const stream = new StreamDecoder(tokenizer);
    expect(Array.from(ids, (id) => stream.push(id)).join("") + stream.flush()).toBe("the quick one");
  });

  it("is saved and loaded with the same ids", () => {
    const tokenizer = trainWordPiece(corpus, { vocabularySize: 700, lowercase: false });
    saveTokenizer(scratch, tokenizer, { contextLength: 64 });
    const loaded = loadTokenizer(scratch);
    expect(loaded.hash()).toBe(tokenizer.hash());
    expect(loaded.specials).toEqual(tokenizer.specials);
    for (const text of corpus) expect(loaded.encode(text)).toEqual(tokenizer.encode(text));
  });

  it("refuses sizes that cannot be, and says which can", () => {
    expect(() => trainWordPiece(["abab abab"], { vocabularySize: 5 })).toThrow(ConfigError);
    expect(() => trainWordPiece(["abab abab"], { vocabularySize: 5 })).toThrow("expected an integer ≥ 8");
    expect(() => trainWordPiece(["abab abab"], { vocabularySize: 500 })).toThrow("expected at most");
    expect(() => trainWordPiece([" "], { vocabularySize: 500 })).toThrow("expected some text");
    expect(() => trainWordPiece(["a\ud800"], { vocabularySize: 500 })).toThrow(DataError);
  });
});

describe("characters with BERT's special tokens", () => {
  it("get ids after them, between [CLS] and [SEP]", () => {
    const tokenizer = trainCharTokenizer(["cab"], { for: "encoder" });
    expect([...tokenizer.encode("abba")]).toEqual([5, 6, 6, 5]);
    expect([...tokenizer.encodeInput("a[MASK]", undefined, { marked: true }).ids]).toEqual([2, 5, 4, 3]);
    expect(tokenizer.specials).toEqual({ pad: 0, unk: 1, cls: 2, sep: 3, mask: 4 });
    expect(tokenizer.decode([2, 5, 7, 4, 3])).toBe("ac");
    saveTokenizer(join(scratch, "char"), tokenizer, { contextLength: 8 });
    expect(loadTokenizer(join(scratch, "char")).hash()).toBe(tokenizer.hash());
  });
});

const python = process.env.PLINTH_PYTHON;
describe.skipIf(!python)(`AutoTokenizer${python ? "" : " (skipped: PLINTH_PYTHON names no Python)"}`, () => {
  it.each([
    ["WordPiece", trainWordPiece(corpus, { vocabularySize: 700 })],
    ["cased WordPiece", trainWordPiece(corpus, { vocabularySize: 700, lowercase: false })],
    ["characters", trainCharTokenizer(corpus, { for: "encoder" })],
  ])("reads our %s with the same ids", (name, tokenizer) => {
    const directory = join(scratch, `auto ${name}`);
    saveTokenizer(directory, tokenizer, { contextLength: 64 });
    writeFileSync(join(directory, "texts.json"), JSON.stringify(corpus));
    const script =
      "import json,sys;from transformers import AutoTokenizer;t=AutoTokenizer.from_pretrained(sys.argv[1]);" +
      "print(json.dumps([t(x)['input_ids'] for x in json.load(open(sys.argv[1]+'/texts.json'))]+" +
      "[[t.pad_token_id,t.unk_token_id,t.cls_token_id,t.sep_token_id,t.mask_token_id]]))";
    const ids: number[][] = JSON.parse(execFileSync(python!, ["-c", script, directory]).toString());
    expect(ids.pop()).toEqual([0, 1, 2, 3, 4]);
    expect(corpus.map((text) => [...tokenizer.encodeInput(text).ids])).toEqual(ids);
  });
});
