import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { FormatError } from "../core/errors.ts";
import { readSentenceConfig } from "./sentence-config.ts";

let directory = "";
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "plinth-sentences-"));
  mkdirSync(join(directory, "1_Pooling"));
});
afterEach(() => rmSync(directory, { recursive: true }));

const step = (kind: string, path: string, home = "sentence_transformers.models") => ({
  idx: 0,
  name: "0",
  path,
  type: `${home}.${kind}`,
});
const TRANSFORMER = step("Transformer", "");
const POOLING = step("Pooling", "1_Pooling");
const NORMALIZE = step("Normalize", "2_Normalize");

function write(name: string, content: unknown): void {
  const text = typeof content === "string" ? content : JSON.stringify(content);
  writeFileSync(join(directory, name), text);
}

function layOut(
  modules: unknown,
  pooling: unknown = { pooling_mode_mean_tokens: true },
  limits?: unknown,
): void {
  write("modules.json", modules);
  write("1_Pooling/config.json", pooling);
  if (limits !== undefined) write("sentence_bert_config.json", limits);
}

const read = () => readSentenceConfig(directory);

describe("what sentence-transformers publishes", () => {
  test("nothing, for other models", () => {
    expect(read()).toBe(undefined);
  });

  test("switches of old files, in the order in which they are laid side by side", () => {
    layOut([TRANSFORMER, POOLING, NORMALIZE], {
      word_embedding_dimension: 384,
      pooling_mode_mean_tokens: true,
      pooling_mode_cls_token: true,
      pooling_mode_max_tokens: false,
    });
    expect(read()).toEqual({
      ...{ pooling: ["cls", "mean"], normalize: true, maxLength: undefined, lowerCase: false },
    });
  });

  test("the words of new files, from whatever package, and limits", () => {
    const home = "sentence_transformers.sentence_transformer.modules.pooling";
    layOut(
      [TRANSFORMER, step("Pooling", "1_Pooling", home)],
      { pooling_mode: "mean_sqrt_len_tokens" },
      { max_seq_length: 256, do_lower_case: true },
    );
    expect(read()).toEqual({ pooling: ["mean-sqrt"], normalize: false, maxLength: 256, lowerCase: true });
    layOut([TRANSFORMER, POOLING], { pooling_mode: ["max", "mean"] }, { max_seq_length: null });
    expect(read()).toMatchObject({ pooling: ["max", "mean"], maxLength: undefined });
  });
});

describe("bad files", () => {
  test.each([
    ["{", "modules.json"],
    [{}, "modules.json: expected a list of modules"],
    [[7], "modules.json: expected modules with a type and a plain path, got 7"],
    [[{ type: "a.Transformer" }], "expected modules with a type and a plain path"],
    [[TRANSFORMER], "expected Transformer, Pooling and perhaps Normalize, got Transformer"],
    [
      [TRANSFORMER, POOLING, step("Dense", "2_Dense"), NORMALIZE],
      "expected Transformer, Pooling and perhaps Normalize, got Transformer, Pooling, Dense, Normalize",
    ],
    [[TRANSFORMER, step("Pooling", "../secrets")], "expected modules with a type and a plain path"],
    [[TRANSFORMER, step("Pooling", "a/../../b")], "expected modules with a type and a plain path"],
    [[TRANSFORMER, step("Pooling", "..")], "expected modules with a type and a plain path"],
  ])("modules %j", (modules, message) => {
    layOut(modules);
    expect(read).toThrow(FormatError);
    expect(read).toThrow(message);
  });

  test.each([
    [{}, "pooling_mode: expected some of cls, mean, max, mean_sqrt_len_tokens"],
    [{ pooling_mode_lasttoken: true }, "pooling_mode: expected some of cls, mean"],
    [
      { pooling_mode: "sum" },
      'pooling_mode: expected some of cls, mean, max, mean_sqrt_len_tokens, got "sum"',
    ],
    [{ pooling_mode: "constructor" }, "pooling_mode: expected some of cls"],
    [{ pooling_mode: 3 }, "pooling_mode: expected some of cls"],
  ])("pooling %j", (pooling, message) => {
    layOut([TRANSFORMER, POOLING], pooling);
    expect(read).toThrow(message);
  });

  test.each([0, -1, 1.5, "256"])("a longest text of %j tokens", (length) => {
    layOut([TRANSFORMER, POOLING], { pooling_mode: "cls" }, { max_seq_length: length });
    expect(read).toThrow("max_seq_length: expected an integer ≥ 1");
  });
});
