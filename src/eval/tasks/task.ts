import { readFileSync } from "node:fs";
import { ConfigError, FormatError } from "../../core/errors.ts";
import {
  boolean,
  type Field,
  integer,
  oneOf,
  optional,
  readFields,
  real,
  string,
} from "../../core/fields.ts";
import { suggest } from "../../core/nearest.ts";
import { BUILT_IN_TASKS } from "./built-in-tasks.ts";
import { TASK_METRICS } from "./task-metrics.ts";

/**
 * How a model answers. `choice`: which label is likeliest, or what a classifying head says. `generate`: text that follows the prompt. `extract`: a stretch
 * of `{context}` that answers `{question}`, or generated text. `pair`: which of two sentences is likelier. `perplexity`: how likely a text is.
 * `program`: code that follows the prompt, run with a test.
 */
export type AnswerMethod = "choice" | "generate" | "extract" | "pair" | "perplexity" | "program";

/** A task: rows, how a model is asked, what is right, and how that is measured. Templates name the row's fields in braces. */
export interface Task {
  readonly name: string;
  readonly describe: string;
  /** Files with rows, relative to the data directory. */
  readonly files: readonly string[];
  /** Files with rows for examples and baselines; without them, and with `heldOut`, `files` are split. */
  readonly trainingFiles?: readonly string[] | undefined;
  /** A field that holds a list: each of its items is a row. */
  readonly each?: string | undefined;
  /** Paths to fields, as in templates; rows without one of them are passed over. */
  readonly requires?: readonly string[] | undefined;
  /** Share of the rows of `files` that are judged; the others are for training. Without it all are judged. */
  readonly heldOut?: number | undefined;
  /** Rows that agree in this field are alike: one side of the split, drawn together for intervals. */
  readonly groupBy?: string | undefined;
  /** Each value of this field is split in the same proportion. */
  readonly stratifyBy?: string | undefined;
  /** Scores are also shown for each value of this field. */
  readonly breakdown?: string | undefined;
  readonly method: AnswerMethod;
  /** What is asked, bare: what an encoder reads and retrieval compares. For `pair` and `perplexity` the (right) text. */
  readonly input: string;
  /** What a decoder reads; default the input. */
  readonly prompt: string;
  /** What should follow the prompt. If it is one field with `*`, each of its values is right. */
  readonly answer: string;
  /** `pair`: the text that should be less likely. */
  readonly contrast?: string | undefined;
  /** `program`: what is put behind the program, and fails if it is wrong. */
  readonly test?: string | undefined;
  readonly language: "javascript" | "typescript";
  /** `program`: programs drawn for each row. */
  readonly numSamples: number;
  readonly temperature: number;
  /** Said once, before everything else. */
  readonly instruction?: string | undefined;
  /** Most tokens generated. */
  readonly maxTokens: number;
  /** Generated text ends before this. */
  readonly stop: string;
  /** Regular expression: of expected and generated text, the last match (its first group, if it has one) is compared. */
  readonly pick?: string | undefined;
  /** A template whose text is a baseline's answer. */
  readonly copy?: string | undefined;
  /** `choice`: takes out what the model prefers whatever the text is. */
  readonly calibrate: boolean;
  readonly metrics: readonly string[];
}

/** What a declaration must have; the rest has defaults. */
export type TaskInput = Partial<Task> & Pick<Task, "name" | "files" | "method" | "input" | "metrics">;

const METHODS = ["choice", "generate", "extract", "pair", "perplexity", "program"] as const;

const LIST: Field<readonly string[]> = {
  describe: "a list of texts, not empty",
  fallback: undefined,
  accepts: (value): value is readonly string[] =>
    Array.isArray(value) && value.length > 0 && value.every((item) => typeof item === "string"),
};

const FIELDS = {
  name: string(),
  describe: string(""),
  files: LIST,
  trainingFiles: optional(LIST),
  each: optional(string()),
  requires: optional(LIST),
  heldOut: optional(real(0.001, 0.999)),
  groupBy: optional(string()),
  stratifyBy: optional(string()),
  breakdown: optional(string()),
  method: oneOf(METHODS),
  input: string(),
  prompt: string(),
  answer: string(""),
  contrast: optional(string()),
  test: optional(string()),
  language: oneOf(["javascript", "typescript"], "javascript"),
  numSamples: integer(1, 1000, 1),
  temperature: real(0, 100, 0),
  instruction: optional(string()),
  maxTokens: integer(1, 100_000, 64),
  stop: string("\n"),
  pick: optional(string()),
  copy: optional(string()),
  calibrate: boolean(true),
  metrics: LIST,
} as const;

/**
 * A checked task.
 *
 * @throws {ConfigError} naming the key that is unknown, missing or out of range.
 */
export function defineTask(input: TaskInput): Task {
  const task: Task = readFields<Task>(`task ${input.name}`, FIELDS, { prompt: input.input, ...input });
  const needed: Partial<Record<AnswerMethod, keyof Task>> = { pair: "contrast", program: "test" };
  const key =
    needed[task.method] ?? (["pair", "perplexity", "program"].includes(task.method) ? "name" : "answer");
  if (!task[key]) {
    const expected = `a template, as its method is ${task.method}`;
    throw new ConfigError({ where: `task ${task.name}.${key}`, expected, got: "none" });
  }
  for (const name of task.metrics) {
    const metric = TASK_METRICS.get(name);
    const fitting = [...TASK_METRICS]
      .filter(([, { methods }]) => methods.includes(task.method))
      .map(([one]) => one);
    if (metric?.methods.includes(task.method)) continue;
    const expected = `a metric for ${task.method}: ${fitting.join(", ")}`;
    throw new ConfigError({
      where: `task ${task.name}.metrics`,
      expected,
      got: `"${name}"`,
      fix: suggest(name, fitting),
    });
  }
  checkPattern(task);
  return task;
}

/**
 * The task of a name, or in a JSON file.
 *
 * @throws {ConfigError} if there is no such task, or a key in the file cannot be used.
 * @throws {FormatError} if the file is not JSON.
 */
export function findTask(word: string): Task {
  const builtIn = BUILT_IN_TASKS.find(({ name }) => name === word);
  if (builtIn) return defineTask(builtIn);
  if (!word.endsWith(".json")) {
    const names = BUILT_IN_TASKS.map(({ name }) => name);
    const expected = `one of ${names.join(", ")}, or a .json file`;
    throw new ConfigError({ where: "task", expected, got: `"${word}"`, fix: suggest(word, names) });
  }
  return defineTask(readTaskFile(word));
}

function readTaskFile(path: string): TaskInput {
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(path, "utf8"));
  } catch (cause) {
    const got = (cause as Error).message.replace(/\s+/g, " ");
    throw new FormatError({ where: path, expected: "a task in JSON", got }, { cause });
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new FormatError({
      where: path,
      expected: "an object, a task",
      got: JSON.stringify(value).slice(0, 60),
    });
  }
  return { name: path, ...value } as TaskInput;
}

function checkPattern({ name, pick }: Task): void {
  if (pick === undefined) return;
  try {
    new RegExp(pick, "gu");
  } catch (cause) {
    const got = (cause as Error).message;
    throw new ConfigError({ where: `task ${name}.pick`, expected: "a regular expression", got }, { cause });
  }
}
