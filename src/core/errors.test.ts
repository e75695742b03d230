import { expect, test } from "vitest";
import { ConfigError, DataError, EnvironmentError, FormatError, PlinthError, ShapeError } from "./errors.ts";

const failure = { where: "numHeads", expected: "a divisor of width 384", got: "5" };

test("the message is one line; its parts stay as data; the name is the class's", () => {
  const error = new ConfigError({ ...failure, fix: "Use 6." });
  expect(error.message).toBe("numHeads: expected a divisor of width 384, got 5. Use 6.");
  expect(error.failure).toEqual({ ...failure, fix: "Use 6." });
  expect(error.name).toBe("ConfigError");
  expect(String(error)).toBe("ConfigError: numHeads: expected a divisor of width 384, got 5. Use 6.");
});

test("without a fix nothing trails", () => {
  expect(new ShapeError(failure).message).toBe("numHeads: expected a divisor of width 384, got 5.");
});

test("all are PlinthErrors and Errors, and keep their cause", () => {
  const cause = new Error("disk");
  for (const Class of [ConfigError, DataError, EnvironmentError, FormatError, ShapeError]) {
    const error = new Class(failure, { cause });
    expect(error).toBeInstanceOf(PlinthError);
    expect(error).toBeInstanceOf(Error);
    expect(error.name).toBe(Class.name);
    expect(error.cause).toBe(cause);
  }
});
