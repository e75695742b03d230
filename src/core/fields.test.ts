import { describe, expect, test } from "vitest";
import { ConfigError } from "./errors.ts";
import { boolean, integer, oneOf, optional, readFields, real, string } from "./fields.ts";

interface Config {
  readonly steps: number;
  readonly rate: number;
  readonly tied: boolean;
  readonly name: string;
  readonly schedule: "cosine" | "linear";
}

const fields = {
  steps: integer(1),
  rate: real(0, 1, 0.1),
  tied: boolean(true),
  name: string("run"),
  schedule: oneOf(["cosine", "linear"], "cosine"),
};
const read = (input: object) => readFields<Config>("train", fields, input);

test("missing keys take their fallback and given ones their value", () => {
  expect(read({ steps: 5 })).toEqual({ steps: 5, rate: 0.1, tied: true, name: "run", schedule: "cosine" });
  const given = { steps: 1, rate: 1, tied: false, name: "", schedule: "linear" };
  expect(read(given)).toEqual(given);
});

describe("what is refused, in one line", () => {
  test.each([
    [{ step: 5 }, 'train.step: expected a known configuration key, got "step". Did you mean "steps"?'],
    [
      { steps: 5, zzzzzz: 1 },
      'train.zzzzzz: expected a known configuration key, got "zzzzzz". Known: steps, rate, tied, name, schedule.',
    ],
    [{}, "train.steps: expected an integer ≥ 1, got nothing."],
    [{ steps: 0 }, "train.steps: expected an integer ≥ 1, got 0."],
    [{ steps: 1.5 }, "train.steps: expected an integer ≥ 1, got 1.5."],
    [{ steps: "5" }, 'train.steps: expected an integer ≥ 1, got "5".'],
    [{ steps: 2 ** 53 }, "train.steps: expected an integer ≥ 1, got 9007199254740992."],
    [{ steps: Number.NaN }, "train.steps: expected an integer ≥ 1, got null."],
    [{ steps: 1, rate: 1.1 }, "train.rate: expected a number in [0, 1], got 1.1."],
    [{ steps: 1, rate: Number.POSITIVE_INFINITY }, "train.rate: expected a number in [0, 1], got null."],
    [{ steps: 1, tied: "yes" }, 'train.tied: expected true or false, got "yes".'],
    [{ steps: 1, tied: 1 }, "train.tied: expected true or false, got 1."],
    [{ steps: 1, name: 7 }, "train.name: expected a string, got 7."],
    [{ steps: 1, schedule: "Cosine" }, 'train.schedule: expected one of cosine, linear, got "Cosine".'],
  ])("%j", (input, message) => {
    expect(() => read(input)).toThrow(ConfigError);
    expect(() => read(input)).toThrow(message);
  });

  test("a key of Object.prototype is as unknown as any other", () => {
    expect(() => read({ steps: 1, constructor: 1 })).toThrow("train.constructor: expected a known");
    expect(() => read(JSON.parse('{"steps": 1, "__proto__": {"rate": 2}}') as object)).toThrow(
      "train.__proto__",
    );
  });
});

test("an upper bound shows in the message", () => {
  const within = () => readFields<{ layers: number }>("model", { layers: integer(1, 96) }, { layers: 97 });
  expect(within).toThrow("model.layers: expected an integer in [1, 96], got 97.");
  const least = () => readFields<{ weight: number }>("model", { weight: real(0) }, { weight: -1 });
  expect(least).toThrow("model.weight: expected a number ≥ 0, got -1.");
});

test("an optional key may be left out, and is not there then; a wrong value is still one", () => {
  const window = { window: optional(integer(1)) };
  const read = (input: object) => readFields<{ readonly window?: number }>("model", window, input);
  expect(Object.keys(read({}))).toEqual([]);
  expect(read({ window: 5 })).toEqual({ window: 5 });
  expect(() => read({ window: 0 })).toThrow("model.window: expected an integer ≥ 1, got 0.");
});
