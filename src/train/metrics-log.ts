import { closeSync, existsSync, fstatSync, ftruncateSync, openSync, readFileSync, writeSync } from "node:fs";
import { EnvironmentError, FormatError } from "../core/errors.ts";
import { writeFileAtomic } from "../hub/atomic-write.ts";
import { isSystemError, withSystemErrors } from "../hub/system-error.ts";
import type { TrainEvent } from "./events.ts";

/** An event and when it happened. */
export type TimedEvent = TrainEvent & {
  /** ISO 8601, UTC. */
  readonly time: string;
};

/** `numbers`: an object whose values are all numbers. */
type FieldKind = "number" | "numbers" | "string" | "boolean";

/** What a line of each type must hold; also says which texts like "NaN" stand for numbers. */
const FIELDS: Readonly<Record<TrainEvent["type"], Readonly<Record<string, FieldKind>>>> = {
  start: {
    title: "string",
    totalSteps: "number",
    numParameters: "number",
    tokensPerStep: "number",
    flopsPerStep: "number",
  },
  step: {
    lossNats: "number",
    learningRate: "number",
    gradientNorm: "number",
    stepMs: "number",
    tokensPerSecond: "number",
    gflopPerSecond: "number",
  },
  validation: { lossNats: "number", numTokens: "number", best: "boolean" },
  sample: { prompt: "string", text: "string" },
  checkpoint: { path: "string", saveMs: "number" },
  skip: { reason: "string", count: "number" },
  notice: { message: "string" },
  end: { seconds: "number", totalFlops: "number", reason: "string" },
};

const WRITABLE = "a file that can be written";

/** Numbers that JSON has no notation for are written as these texts. */
const NON_FINITE: ReadonlyMap<unknown, number> = new Map([
  ["NaN", Number.NaN],
  ["Infinity", Number.POSITIVE_INFINITY],
  ["-Infinity", Number.NEGATIVE_INFINITY],
]);

/**
 * The file `metrics.jsonl` of a run: one event a line, appended as it happens.
 *
 * @example
 * const log = MetricsLog.create("runs/first/metrics.jsonl");
 * log.append({ type: "notice", step: 0, message: "hello" });
 * log.close();
 */
export class MetricsLog {
  readonly #path: string;
  readonly #file: number;
  #sizeBytes: number;

  private constructor(path: string, flags: "ax" | "a") {
    this.#path = path;
    this.#file = openSync(path, flags);
    this.#sizeBytes = fstatSync(this.#file).size;
  }

  /**
   * Begins the log of a new run.
   *
   * @throws {EnvironmentError} if the file exists: it belongs to another run.
   */
  static create(path: string): MetricsLog {
    return withSystemErrors(path, WRITABLE, () => {
      try {
        return new MetricsLog(path, "ax");
      } catch (error) {
        if (!isSystemError(error) || error.code !== "EEXIST") throw error;
        throw new EnvironmentError({
          where: path,
          expected: "no metrics yet",
          got: "those of an earlier run",
          fix: "Resume that run, or choose another directory.",
        });
      }
    });
  }

  /**
   * Continues the log of a run that goes on from a checkpoint after `resumedStep` completed steps. What an
   * interrupted process logged beyond that step is dropped, so that no curve doubles back; the file is replaced
   * in one step, never half.
   *
   * @throws {FormatError} if a line other than a torn last one is not an event.
   */
  static resume(path: string, resumedStep: number): MetricsLog {
    const kept = existsSync(path) ? readMetrics(path).filter(({ step }) => step <= resumedStep) : [];
    writeFileAtomic(path, kept.map(formatLine).join(""));
    return withSystemErrors(path, WRITABLE, () => new MetricsLog(path, "a"));
  }

  /**
   * Appends one event.
   *
   * @throws {EnvironmentError} if it could not be written; the file then still ends with the event before.
   */
  append(event: TrainEvent, time: Date = new Date()): void {
    const bytes = Buffer.from(formatLine({ ...event, time: time.toISOString() }));
    withSystemErrors(this.#path, WRITABLE, () => {
      try {
        for (let done = 0; done < bytes.length; ) done += writeSync(this.#file, bytes, done);
      } catch (error) {
        ftruncateSync(this.#file, this.#sizeBytes);
        throw error;
      }
    });
    this.#sizeBytes += bytes.length;
  }

  close(): void {
    closeSync(this.#file);
  }
}

/**
 * Reads a metrics file. A last line without its line break is what a killed process was writing: it is left out.
 *
 * @throws {FormatError} if any other line is not an event, naming the line.
 * @throws {EnvironmentError} if the file cannot be read.
 */
export function readMetrics(path: string): TimedEvent[] {
  const content = withSystemErrors(path, "a readable file", () => readFileSync(path, "utf8"));
  const lines = content.split("\n");
  lines.pop(); // after the last line break: nothing, or the torn line
  return lines.map((line, index) => parseLine(line, `${path}:${index + 1}`));
}

function formatLine(event: TimedEvent): string {
  const json = JSON.stringify(event, (_, value: unknown) =>
    typeof value === "number" && !Number.isFinite(value) ? String(value) : value,
  );
  return `${json}\n`;
}

function parseLine(line: string, where: string): TimedEvent {
  let parsed: unknown;
  try {
    parsed = JSON.parse(line);
  } catch {
    parsed = undefined;
  }
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) {
    throw damaged(where, "an event as a JSON object", line);
  }
  const entry = parsed as Record<string, unknown>;
  const fields = FIELDS[entry.type as TrainEvent["type"]];
  if (!Object.hasOwn(FIELDS, String(entry.type)) || fields === undefined) {
    throw damaged(where, `a type among ${Object.keys(FIELDS).join(", ")}`, String(entry.type));
  }
  const quality = entry.type === "validation" ? qualityFields(entry) : {};
  const wanted: Record<string, FieldKind> = { ...fields, ...quality, step: "number", time: "string" };
  for (const [key, kind] of Object.entries(wanted)) {
    const value = readField(entry[key], kind);
    if (value === undefined) {
      const expected = kind === "numbers" ? "an object of numbers" : `a ${kind}`;
      throw damaged(where, `${key} to be ${expected}`, String(JSON.stringify(entry[key])));
    }
    entry[key] = value;
  }
  return entry as unknown as TimedEvent;
}

/** The value that was written, or `undefined` where it is of another kind. */
function readField(written: unknown, kind: FieldKind): unknown {
  if (kind === "number") {
    const value = NON_FINITE.get(written) ?? written;
    return typeof value === "number" ? value : undefined;
  }
  if (kind !== "numbers") return typeof written === kind ? written : undefined;
  if (typeof written !== "object" || written === null || Array.isArray(written)) return undefined;
  const values = Object.entries(written).map(([key, one]) => [key, readField(one, "number")] as const);
  return values.some(([, one]) => one === undefined) ? undefined : Object.fromEntries(values);
}

/** The fields of the kind of quality that an entry has. */
function qualityFields(entry: object): Readonly<Record<string, FieldKind>> {
  if ("metric" in entry) {
    const error = "standardError" in entry ? { standardError: "number" as const } : {};
    const others = "others" in entry ? { others: "numbers" as const } : {};
    return { metric: "string", value: "number", higherIsBetter: "boolean", ...error, ...others };
  }
  if (!("maskedAccuracy" in entry)) return { bitsPerByte: "number" };
  const pairs = "nextSentenceAccuracy" in entry ? { nextSentenceAccuracy: "number" as const } : {};
  return { maskedAccuracy: "number", standardError: "number", ...pairs };
}

function damaged(where: string, expected: string, got: string): FormatError {
  const shown = got.length > 60 ? `${got.slice(0, 60)}…` : got;
  return new FormatError({ where, expected, got: shown, fix: "Remove that line, or the file." });
}
