import { ConfigError } from "../../core/errors.ts";
import { Random } from "../../core/random.ts";
import type { Task } from "../../eval/tasks/task.ts";
import type { TaskExample, TaskExamples } from "../../eval/tasks/task-rows.ts";

/** Between instruction, examples and question. */
const GAP = "\n\n";

/**
 * What every prompt of a task begins with: the instruction, and training examples with their answers, drawn once by chance.
 *
 * @throws {ConfigError} if the task has fewer training rows than are asked for.
 */
export function fewShotIntro(task: Task, { training }: TaskExamples, shots: number, seed: number): string {
  if (shots > training.length) {
    const expected = `at most ${training.length}, the task's training rows`;
    const fix = training.length === 0 ? `All rows of ${task.name} are judged.` : "";
    throw new ConfigError({ where: "shots", expected, got: `${shots}`, ...(fix && { fix }) });
  }
  const drawn = new Random(seed).fork("shots").permutation(training.length).subarray(0, shots);
  const shown = Array.from(drawn, (place) => withAnswer(training[place]!));
  return [...(task.instruction ? [task.instruction] : []), ...shown].map((part) => part + GAP).join("");
}

function withAnswer({ prompt, answer }: TaskExample): string {
  return prompt + answer;
}
