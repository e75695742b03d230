import { join } from "node:path";
import type { CorpusManifest } from "../data/corpus.ts";
import { writeFileAtomic } from "../hub/atomic-write.ts";
import { countParameters } from "../nn/scope.ts";
import type { TrainEvent } from "../train/events.ts";
import { MetricsLog, readMetrics } from "../train/metrics-log.ts";
import { type Baseline, renderReport } from "../train/report.ts";
import { describeCorpus, describeRun } from "./describe.ts";
import { flattenRecipe } from "./flat-recipe.ts";
import type { Recipe } from "./recipe.ts";
import { METRICS_FILE, MODEL_DIRECTORY } from "./run-directory.ts";
import type { Trainee } from "./trainee.ts";

/** What a journal writes, and what it is about. */
export interface JournalOptions {
  readonly directory: string;
  readonly resume: boolean;
  readonly recipe: Recipe;
  readonly machine: string;
  readonly onEvent: (event: TrainEvent) => void;
  /** How to call Plinth, for the report's list of what to type next; default `npx plinth`. */
  readonly command?: string;
}

/** Keeps the run's metrics and its report up to date, and passes events on. */
export class Journal {
  readonly reportPath: string;
  readonly #options: JournalOptions;
  readonly #trainee: Trainee;
  readonly #metricsPath: string;
  readonly #describe: () => Omit<Parameters<typeof renderReport>[0], "events" | "next">;
  #log: MetricsLog | undefined;
  /** Notices from before the log was open, such as that of a damaged checkpoint. */
  readonly #early: TrainEvent[] = [];

  constructor(
    options: JournalOptions,
    corpus: CorpusManifest,
    trainee: Trainee,
    baselines: readonly Baseline[],
  ) {
    this.#trainee = trainee;
    const startedAt = new Date().toISOString();
    this.#options = options;
    this.#metricsPath = join(options.directory, METRICS_FILE);
    this.reportPath = join(options.directory, "report.html");
    this.#describe = () => ({
      title: describeRun(trainee.model),
      startedAt,
      machine: options.machine,
      config: { parameters: countParameters(trainee.model.parameters), ...flattenRecipe(options.recipe) },
      corpus: describeCorpus(corpus),
      baselines,
    });
  }

  record(event: TrainEvent): void {
    if (event.type === "start") {
      this.#log = this.#options.resume
        ? MetricsLog.resume(this.#metricsPath, event.step)
        : MetricsLog.create(this.#metricsPath);
      for (const notice of this.#early) this.#log.append(notice);
    }
    if (this.#log) this.#log.append(event);
    else this.#early.push(event);
    this.#options.onEvent(event);
    if (event.type === "validation" || event.type === "end") this.#writeReport();
  }

  close(): void {
    this.#log?.close();
  }

  #writeReport(): void {
    const { command = "npx plinth" } = this.#options;
    const model = join(this.#options.directory, MODEL_DIRECTORY);
    const next = this.#trainee.nextCommands(model).map((words) => `${command} ${words}`);
    const events = readMetrics(this.#metricsPath);
    writeFileAtomic(this.reportPath, renderReport({ ...this.#describe(), events, next }));
  }
}
