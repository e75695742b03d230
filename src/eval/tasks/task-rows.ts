import { join } from "node:path";
import { DataError } from "../../core/errors.ts";
import { Random } from "../../core/random.ts";
import type { Row } from "../../data/rows/load-examples.ts";
import type { RawRow } from "../../data/rows/raw-row.ts";
import { readRows } from "../../data/rows/read-rows.ts";
import { splitRows } from "../../data/rows/split-rows.ts";
import type { Task } from "./task.ts";
import { fieldValues, fillTemplate, hasField, templateFields } from "./template.ts";

/** A row as its task puts it. */
export interface TaskExample {
  readonly where: string;
  readonly row: RawRow;
  readonly input: string;
  readonly prompt: string;
  /** What follows the prompt, as examples show it: with its leading space. */
  readonly answer: string;
  /** Every answer that is right, trimmed. */
  readonly expected: readonly string[];
  readonly group?: string | undefined;
  readonly breakdown?: string | undefined;
  /** What of an answer is compared. */
  readonly pick?: ((text: string) => string | undefined) | undefined;
}

/** The examples of a task: those that are judged, and those that may be learnt from, which are never judged. */
export interface TaskExamples {
  readonly training: readonly TaskExample[];
  readonly evaluation: readonly TaskExample[];
}

export interface TaskRowOptions {
  /** The directory that the task's files are in; default the current one. */
  readonly data?: string | undefined;
  /** Of the split and of `limit`; default 1. */
  readonly seed?: number | undefined;
  /** Judge only that many, drawn by chance. */
  readonly limit?: number | undefined;
}

/**
 * Reads the rows of a task.
 *
 * @throws {DataError} if a file is missing, or a row has not what the task's templates name.
 * @throws {FormatError} if a file is not what its name says.
 */
export async function loadTaskRows(task: Task, options: TaskRowOptions = {}): Promise<TaskExamples> {
  const { data = ".", seed = 1, limit } = options;
  const load = async (files: readonly string[]) => {
    const paths = files.map((file) => join(data, file));
    const rows: Row<TaskExample>[] = [];
    for await (const raw of readRows({ paths, ...(task.each && { each: task.each }) })) {
      if (task.requires?.some((path) => !hasField(path, raw))) continue;
      const example = toExample(task, raw);
      rows.push({ example, where: raw.where, ...(example.group !== undefined && { group: example.group }) });
    }
    return rows;
  };
  const rows = await load(task.files);
  const { stratifyBy } = task;
  const sides =
    task.heldOut === undefined
      ? { training: task.trainingFiles ? await load(task.trainingFiles) : [], validation: rows }
      : splitRows(rows, {
          validationShare: task.heldOut,
          seed,
          ...(stratifyBy && { stratum: ({ row }: TaskExample) => fieldValues(stratifyBy, row)[0]! }),
        });
  const examplesOf = (side: readonly Row<TaskExample>[]) => side.map(({ example }) => example);
  const training = examplesOf(sides.training);
  const evaluation = sample(examplesOf(sides.validation), limit, seed);
  if (evaluation.length > 0) return { training, evaluation };
  throw new DataError({ where: `task ${task.name}`, expected: "at least one row to judge", got: "none" });
}

function toExample(task: Task, row: RawRow): TaskExample {
  const fields = templateFields(task.answer);
  const isList = fields.length === 1 && fields[0]!.includes("*") && task.answer.trim() === `{${fields[0]}}`;
  const right = isList ? fieldValues(fields[0]!, row) : [fillTemplate(task.answer, row)];
  const space = /^\s*/.exec(task.answer)![0];
  const { groupBy, breakdown, pick } = task;
  const isPlain = task.method === "pair" || task.method === "perplexity";
  const input = fillTemplate(task.input, row);
  return {
    where: row.where,
    row,
    input,
    prompt: fillTemplate(task.prompt, row),
    answer: isList ? `${space}${right[0] ?? ""}` : right[0]!,
    expected: isPlain ? [input.trim()] : right.map((text) => text.trim()),
    ...(groupBy && { group: fieldValues(groupBy, row)[0]! }),
    ...(breakdown && { breakdown: fieldValues(breakdown, row)[0]! }),
    ...(pick && { pick: (text: string) => pickLast(pick, text) }),
  };
}

function pickLast(pattern: string, text: string): string | undefined {
  const match = [...text.matchAll(new RegExp(pattern, "gu"))].at(-1);
  return match?.[1] ?? match?.[0];
}

/** As many as asked for, drawn by chance, in their old order. */
function sample<T>(items: readonly T[], limit: number | undefined, seed: number): readonly T[] {
  if (limit === undefined || limit >= items.length) return items;
  const drawn = new Random(seed).fork("limit").permutation(items.length).subarray(0, limit);
  return Array.from(drawn.sort(), (place) => items[place]!);
}
