import { CHAT_TASK } from "./chat-task.ts";
import { GRPO } from "./grpo-task.ts";
import { INSTRUCT } from "./instruct-task.ts";
import { ANSWER, CLASSIFY, LABEL, REGRESS, TAG } from "./labelled-tasks.ts";
import { PREFER, REWARD } from "./preference-tasks.ts";
import type { Task } from "./task.ts";
import { TEXT_TASK } from "./text-task.ts";

/** Every task, by name: another is one more record. */
export const TASKS: Readonly<Record<string, Task>> = Object.fromEntries(
  [CLASSIFY, LABEL, REGRESS, TAG, ANSWER, INSTRUCT, CHAT_TASK, TEXT_TASK, PREFER, REWARD, GRPO].map(
    (task) => [task.name, task],
  ),
);
