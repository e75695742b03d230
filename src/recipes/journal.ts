import { join } from "node:path";
import { writeFileAtomic } from "../hub/atomic-write.ts";
import type { TrainEvent } from "../train/events.ts";
import { MetricsLog, readMetrics } from "../train/metrics-log.ts";
import { type RunReport, renderReport } from "../train/report.ts";
import { METRICS_FILE } from "./run-directory.ts";

/** What a report says besides what happened. */
export type RunDescription = Omit<RunReport, "events" | "next" | "startedAt" | "sections">;

/** What a journal writes, and what it is about. */
export interface JournalOptions {
  readonly directory: string;
  readonly resume: boolean;
  readonly onEvent: (event: TrainEvent) => void;
  readonly description: RunDescription;
  /** What to do with the trained model, as words after `plinth`. */
  readonly nextCommands: readonly string[];
  /** How to call Plinth; default `npx plinth`. */
  readonly command?: string | undefined;
}

/** Keeps the run's metrics and its report up to date, and passes events on. */
export class Journal {
  readonly reportPath: string;
  readonly #options: JournalOptions;
  readonly #metricsPath: string;
  readonly #startedAt = new Date().toISOString();
  #log: MetricsLog | undefined;
  /** Notices from before the log was open, such as that of a damaged checkpoint. */
  readonly #early: TrainEvent[] = [];

  constructor(options: JournalOptions) {
    this.#options = options;
    this.#metricsPath = join(options.directory, METRICS_FILE);
    this.reportPath = join(options.directory, "report.html");
  }

  record(event: TrainEvent): void {
    if (event.type === "start") {
      this.#log = this.#options.resume
        ? MetricsLog.resume(this.#metricsPath, event.step)
        : MetricsLog.create(this.#metricsPath);
      // The start comes first: between it and what a process before left, time does not count.
      this.#log.append(event);
      for (const notice of this.#early.splice(0)) this.#log.append(notice);
    } else if (this.#log) this.#log.append(event);
    else this.#early.push(event);
    this.#options.onEvent(event);
    if (event.type === "validation" || event.type === "end") this.writeReport();
  }

  /**
   * Writes the report anew.
   *
   * @param sections parts that only a finished run has, as HTML
   */
  writeReport(sections: readonly string[] = []): void {
    const { command = "npx plinth", description, nextCommands } = this.#options;
    const next = nextCommands.map((words) => `${command} ${words}`);
    const events = readMetrics(this.#metricsPath);
    const report = { ...description, startedAt: this.#startedAt, events, next, sections };
    writeFileAtomic(this.reportPath, renderReport(report));
  }

  close(): void {
    this.#log?.close();
  }
}
