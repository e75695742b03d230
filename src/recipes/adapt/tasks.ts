import { CHAT_TASK } from "./chat-task.ts";
import { INSTRUCT } from "./instruct-task.ts";
import type { Task } from "./task.ts";
import { TEXT_TASK } from "./text-task.ts";

/** Every task, by name: another is one more record. */
export const TASKS: Readonly<Record<string, Task>> = Object.fromEntries(
  [INSTRUCT, CHAT_TASK, TEXT_TASK].map((task) => [task.name, task]),
);
