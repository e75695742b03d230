import { ConfigError } from "../../core/errors.ts";
import { boolean, integer, oneOf, readFields, real } from "../../core/fields.ts";
import { suggest } from "../../core/nearest.ts";
import type { LongRows } from "../../data/rows/fit-context.ts";
import { describeModel } from "../../models/describe-model.ts";
import { type TrainOptions, trainOptions } from "../../train/options.ts";
import { DISTILL, readDistill } from "./distill.ts";
import type { ChosenMethod } from "./method.ts";
import { METHODS } from "./methods.ts";
import type { Task } from "./task.ts";
import { TASKS } from "./tasks.ts";

/** What is done with the examples before anything is learnt of them. */
export interface DataRecipe {
  /** Share of the examples held out, where no file of its own is given. */
  readonly validationShare: number;
  /** What becomes of examples longer than the context. */
  readonly longRows: LongRows;
  /** Leaves out training examples that repeat an earlier one word for word. */
  readonly dropRepeats: boolean;
  /** Trains on so many examples, drawn by seed; 0: on all. */
  readonly maxExamples: number;
}

/** How examples become batches. */
export interface BatchRecipe {
  /** Most different padded lengths; each costs a compiled program. */
  readonly maxBuckets: number;
  /** Most tokens of a batch, padding counted; 0: `train.batchSize` alone counts. */
  readonly tokenBudget: number;
  /** Several examples share a row, kept apart by rewriting attention: less padding. For tasks that continue text. */
  readonly pack: boolean;
}

/** A whole adaptation but for the base, the data and the directory. Settings of task and method have sections of their own. */
export interface AdaptRecipe {
  readonly adapt: { readonly task: string; readonly method: string };
  readonly data: DataRecipe;
  readonly batch: BatchRecipe;
  readonly train: TrainOptions;
  readonly [section: string]: object;
}

/** A recipe with what its names stand for. */
export interface ReadRecipe {
  readonly recipe: AdaptRecipe;
  readonly task: Task;
  readonly method: ChosenMethod;
}

/** A recipe as it is written down: what is not said takes the fallback. */
export type AdaptInput = Readonly<Record<string, object>>;

/**
 * Completes and checks a recipe.
 *
 * @param base its directory: a context that is not set is no longer than it reads
 * @throws {ConfigError} if task, method, section or key is unknown (the nearest is named), or a value out of range; as
 *   `describeModel`.
 */
export function readAdaptRecipe(
  taskName: string,
  methodName: string,
  input: AdaptInput,
  base: string,
): ReadRecipe {
  const task = choose("task", TASKS, taskName);
  const method = choose("method", METHODS, methodName);
  if (task.methods && !task.methods.includes(method.name)) {
    throw new ConfigError({
      where: "method",
      expected: `one that task ${task.name} can use: ${task.methods.join(", ")}`,
      got: `"${method.name}"`,
    });
  }
  const taught = readTaught(task, input[DISTILL]);
  const own = [method.section, task.section, DISTILL].filter((name) => name !== undefined);
  checkSections(input, ["data", "batch", ...own, "train"]);
  const chosen = method.choose(input[method.section ?? ""] ?? {});
  const most = describeModel(base).model.shape.contextLength - (chosen.virtualTokens ?? 0);
  const contextLength = Math.min(task.train.contextLength, most);
  const section = (name: string | undefined, settings: object) =>
    name === undefined ? {} : { [name]: settings };
  const recipe = {
    adapt: { task: task.name, method: method.name },
    data: readFields<DataRecipe>("data", DATA_FIELDS, input.data ?? {}),
    batch: readFields<BatchRecipe>("batch", BATCH_FIELDS, input.batch ?? {}),
    ...section(method.section, chosen.settings),
    ...section(task.section, task.readSettings(input[task.section ?? ""] ?? {})),
    ...taught,
    train: trainOptions({ ...method.train, ...task.train, contextLength, ...input.train }),
  };
  return { recipe, task, method: chosen };
}

const DATA_FIELDS = {
  validationShare: real(0.001, 0.9, 0.1),
  longRows: oneOf(["refuse", "truncate", "drop"], "refuse"),
  dropRepeats: boolean(false),
  maxExamples: integer(0, 2 ** 31, 0),
};

const BATCH_FIELDS = {
  maxBuckets: integer(1, 64, 4),
  tokenBudget: integer(0, 2 ** 31, 0),
  pack: boolean(false),
};

/** The section of a teacher, where there is one. */
function readTaught(task: Task, input: object | undefined): Readonly<Record<string, object>> {
  if (input === undefined) return {};
  if (task.canBeTaught) return { [DISTILL]: readDistill(input) };
  const able = Object.values(TASKS).filter(({ canBeTaught }) => canBeTaught);
  throw new ConfigError({
    where: "teacher",
    expected: `a task that can learn from one: ${able.map(({ name }) => name).join(", ")}`,
    got: `"${task.name}"`,
  });
}

function choose<T>(what: string, table: Readonly<Record<string, T>>, name: string): T {
  if (Object.hasOwn(table, name)) return table[name]!;
  const known = Object.keys(table);
  const expected = `one of ${known.join(", ")}`;
  throw new ConfigError({ where: what, expected, got: `"${name}"`, fix: suggest(name, known) });
}

function checkSections(input: AdaptInput, known: readonly string[]): void {
  const stranger = Object.keys(input).find((name) => !known.includes(name));
  if (stranger === undefined) return;
  throw new ConfigError({
    where: stranger,
    expected: "a section of this recipe",
    got: `"${stranger}"`,
    fix: suggest(stranger, known),
  });
}
