import { ConfigError, DataError, FormatError } from "../../core/errors.ts";
import type { TextOrMessages } from "../../data/rows/examples.ts";
import { JsonValidator } from "../../generate/json-schema/validate.ts";
import { parseStrictJson } from "../../hub/strict-json.ts";

/** Something to be answered, and perhaps what is known of the answer. */
export interface Task {
  readonly prompt: TextOrMessages;
  /** The right answer, for rewards that compare with it. */
  readonly answer?: string;
}

/** How good a completion is: any finite number, higher is better. */
export type RewardFunction = (completion: string, task: Task) => number | Promise<number>;

/**
 * 1 where a pattern occurs, else 0.
 *
 * @example
 * matchesPattern(/\.$/)("The end."); // => 1
 */
export function matchesPattern(pattern: RegExp): (completion: string) => number {
  const stateless = new RegExp(pattern.source, pattern.flags.replace(/[gy]/g, ""));
  return (completion) => Number(stateless.test(completion));
}

/** Where an answer stands in a completion. */
export interface ExactAnswerOptions {
  /** The answer is what follows the last of these, up to the end of its line, such as `####`. Default: the whole completion. */
  readonly after?: string;
}

/**
 * 1 where the answer is the task's, but for space around it, else 0.
 *
 * @throws {DataError} (the function returned) if a task has no answer.
 * @example
 * exactAnswer({ after: "####" })("6 times 7 is 42.\n#### 42", { prompt: "6 · 7?", answer: "42" }); // => 1
 */
export function exactAnswer({ after }: ExactAnswerOptions = {}): (completion: string, task: Task) => number {
  return (completion, { answer }) => {
    if (answer === undefined) {
      const fix = "Give every task an answer, or use another reward.";
      throw new DataError({ where: "task", expected: "an answer to compare with", got: "none", fix });
    }
    return Number(findAnswer(completion, after) === answer.trim());
  };
}

function findAnswer(completion: string, after: string | undefined): string | undefined {
  if (after === undefined) return completion.trim();
  const at = completion.lastIndexOf(after);
  return at < 0
    ? undefined
    : completion
        .slice(at + after.length)
        .split("\n", 1)[0]!
        .trim();
}

/**
 * 1 where the completion is JSON, and as a schema wants it where there is one; else 0.
 *
 * @throws {ConfigError} if the schema is not one.
 */
export function validJson(schema?: unknown): (completion: string) => number {
  const validator = schema === undefined ? undefined : new JsonValidator(schema);
  return (completion) => {
    try {
      const value = parseStrictJson(completion.trim(), "completion");
      return Number(!validator || validator.validate(value).length === 0);
    } catch (error) {
      if (error instanceof FormatError) return 0;
      throw error;
    }
  };
}

/**
 * The weighted sum of several rewards.
 *
 * @example
 * sumRewards([[1, exactAnswer()], [0.1, matchesPattern(/\.$/)]]);
 */
export function sumRewards(parts: readonly (readonly [weight: number, RewardFunction])[]): RewardFunction {
  if (parts.length === 0) throw new ConfigError({ where: "rewards", expected: "at least one", got: "none" });
  return async (completion, task) => {
    let sum = 0;
    for (const [weight, reward] of parts) sum += weight * (await reward(completion, task));
    return sum;
  };
}

/**
 * Rewards a completion.
 *
 * @throws {DataError} if the function gives something else than a finite number.
 */
export async function rewardOf(reward: RewardFunction, completion: string, task: Task): Promise<number> {
  const value: unknown = await reward(completion, task);
  if (typeof value === "number" && Number.isFinite(value)) return value;
  throw new DataError({
    where: `reward of ${JSON.stringify(completion.slice(0, 60))}`,
    expected: "a finite number",
    got: String(value),
  });
}
