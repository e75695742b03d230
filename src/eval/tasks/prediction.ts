import type { ProgramStatus } from "../sandbox/sandbox.ts";
import type { TaskExample } from "./task-rows.ts";

/** A program that was drawn, and how running it ended. */
export interface DrawnProgram {
  readonly completion: string;
  readonly status: ProgramStatus;
  readonly detail: string;
}

/** One example with what a system said: a line of the per-example output. */
export interface Prediction {
  /** File and line of the row. */
  readonly where: string;
  readonly input: string;
  /** Every answer that is right. */
  readonly expected: readonly string[];
  readonly answer: string;
  /** Of each label. */
  readonly probabilities?: Readonly<Record<string, number>>;
  /** What the task's pattern found in the answer, and in what was expected. */
  readonly picked?: string | undefined;
  readonly expectedPick?: string | undefined;
  readonly programs?: readonly DrawnProgram[];
  readonly likelihood?: { readonly nats: number; readonly bytes: number; readonly tokens: number };
  /** The prompt was longer than the model's context; the empty answer counts. */
  readonly tooLong?: true;
  readonly group?: string | undefined;
  readonly breakdown?: string | undefined;
}

/** What an example becomes with an answer. */
export function makePrediction(
  { where, input, expected, group, breakdown, pick }: TaskExample,
  answer: string,
  more: Pick<Prediction, "probabilities" | "programs" | "likelihood" | "tooLong"> = {},
): Prediction {
  return {
    where,
    input,
    expected,
    answer: answer.trim(),
    ...(pick && { picked: pick(answer), expectedPick: pick(expected[0] ?? "") }),
    ...more,
    ...(group !== undefined && { group }),
    ...(breakdown !== undefined && { breakdown }),
  };
}
