// B sequences · T tokens

import type { ChatTemplate } from "../../codecs/chat-template.ts";
import type { Tokenizer } from "../../codecs/tokenizer.ts";
import { type HostTensor, hostTensor } from "../../core/dtype.ts";
import { ConfigError } from "../../core/errors.ts";
import { integer, readFields } from "../../core/fields.ts";
import { Random } from "../../core/random.ts";
import type { Weights } from "../../core/weights.ts";
import { ShuffledIndices } from "../../data/shuffled-indices.ts";
import { checkCursor } from "../../data/window-sampler.ts";
import type { Engine } from "../../engine/engine.ts";
import type { ExampleStream, Examples } from "../../train/objective.ts";
import { numLearnt, type TrainingRow } from "../training-row.ts";
import { groupAdvantages } from "./advantages.ts";
import type { Grpo } from "./grpo.ts";
import { type RewardFunction, rewardOf, type Task } from "./reward-rules.ts";
import { paddedLength, rowInputs } from "./row-program.ts";
import { logProbProgram, type WeightedModel } from "./score-rows.ts";
import { type Completion, writeCompletions } from "./write-completions.ts";

/** How a round is drawn and gone through. */
export interface RoundOptions {
  /** Tasks of a round. Default 4. */
  readonly tasksPerRound: number;
  /** Completions of a task, which are compared with each other; at least 2. Default 8. */
  readonly groupSize: number;
  /** How often a round is gone through before the next is drawn. Default 1. */
  readonly innerEpochs: number;
  /** Sequences of a batch; divides a round. Default: a whole round. */
  readonly batchSize: number;
  readonly seed: number;
}

/** What the texts of GRPO come from. */
export interface GrpoStreamOptions extends Partial<RoundOptions> {
  readonly engine: Engine;
  readonly objective: Grpo;
  /** Of the model in training, frozen ones included; those in memory are read anew each round, where they lie. */
  readonly weights: Weights;
  /** What the policy is not to leave too far behind; needed where the objective has a reference. */
  readonly reference?: WeightedModel;
  readonly tokenizer: Tokenizer;
  /** Needed where prompts are conversations. */
  readonly template?: ChatTemplate | undefined;
  readonly tasks: readonly Task[];
  readonly reward: RewardFunction;
  /** Told of every round, once its completions are rewarded. */
  readonly onRound?: (round: RoundReport) => void;
}

/** What came of a round. */
export interface RoundReport {
  readonly round: number;
  readonly meanReward: number;
  /** Share of the groups whose completions differ in reward: the others teach nothing. */
  readonly tellingGroups: number;
  /** Share of the completions that the model ended itself. */
  readonly ended: number;
  readonly meanTokens: number;
}

/** A completion as it is learnt from; JSON. */
interface DrawnRow {
  readonly tokens: readonly number[];
  readonly promptLength: number;
  readonly advantage: number;
  readonly oldLogProbs: readonly number[];
  readonly referenceLogProbs?: readonly number[] | undefined;
}

/** Where a stream stands; JSON. */
export interface GrpoCursor {
  readonly numTasks: number;
  readonly seed: number;
  /** Sizes of a round. */
  readonly sizes: string;
  /** Rounds drawn so far. */
  readonly round: number;
  /** Tasks drawn so far. */
  readonly numDrawn: number;
  /** Batches of the round that were given out. */
  readonly batch: number;
  readonly rows: readonly DrawnRow[];
}

/**
 * Examples for {@link Grpo}: completions that the model writes with its weights as they are, a group of them for each task, with how much
 * better each is than its group. A round is drawn when the one before has been gone through; what is left of it is part of the
 * cursor, so that a resumed run goes on with the same texts.
 */
export class GrpoStream implements ExampleStream<GrpoCursor> {
  readonly #options: GrpoStreamOptions;
  readonly #sizes: RoundOptions;
  #round = 0;
  #numDrawn = 0;
  #batch = 0;
  #rows: readonly DrawnRow[] = [];

  /** @throws {ConfigError} if a size is out of range, there are no tasks, or a reference is needed and missing. */
  constructor(options: GrpoStreamOptions) {
    this.#options = options;
    this.#sizes = readSizes(options);
  }

  async next(): Promise<Examples> {
    if (this.#batch === this.#numBatches) await this.#drawRound();
    const { batchSize, innerEpochs } = this.#sizes;
    const perEpoch = this.#numBatches / innerEpochs;
    const order = this.#random(`order ${Math.floor(this.#batch / perEpoch)}`).permutation(this.#rows.length);
    const start = (this.#batch % perEpoch) * batchSize;
    this.#batch += 1;
    const places = order.subarray(start, start + batchSize);
    return this.#examples(Array.from(places, (place) => this.#rows[place]!));
  }

  state(): GrpoCursor {
    const { tasksPerRound, groupSize, innerEpochs, batchSize, seed } = this.#sizes;
    const sizes = `${tasksPerRound} × ${groupSize}, ${innerEpochs} × by ${batchSize}`;
    return {
      ...{ numTasks: this.#options.tasks.length, seed, sizes, round: this.#round },
      ...{ numDrawn: this.#numDrawn, batch: this.#batch, rows: this.#rows },
    };
  }

  /** @throws {ConfigError} if the cursor is of other tasks or settings. */
  restore(cursor: GrpoCursor): void {
    checkCursor(cursor, this.state(), ["numTasks", "seed", "sizes"]);
    this.#round = cursor.round;
    this.#numDrawn = cursor.numDrawn;
    this.#batch = cursor.batch;
    this.#rows = cursor.rows;
  }

  /** Batches of the round at hand, over all its epochs. */
  get #numBatches(): number {
    return (this.#rows.length / this.#sizes.batchSize) * this.#sizes.innerEpochs;
  }

  /** Of the round at hand, for a purpose. */
  #random(purpose: string): Random {
    return new Random(this.#sizes.seed).fork(`round ${this.#round}`).fork(purpose);
  }

  async #drawRound(): Promise<void> {
    const { engine, objective, weights, reward, tokenizer, template } = this.#options;
    const { model, options } = objective;
    const { tasksPerRound, groupSize } = this.#sizes;
    this.#round += 1;
    const tasks = Array.from({ length: tasksPerRound }, () => this.#nextTask());
    const groups = await writeCompletions(
      engine,
      { model, weights },
      tasks.map(({ prompt }) => prompt),
      {
        ...{ tokenizer, template, maxTokens: options.maxTokens, temperature: options.temperature },
        ...{ numSamples: groupSize, seed: this.#random("texts").uint32() },
      },
    );
    const rewards: number[] = [];
    for (const [i, task] of tasks.entries()) {
      for (const { text } of groups[i]!) rewards.push(await rewardOf(reward, text, task));
    }
    const completions = groups.flat();
    this.#rows = await this.#scoreRows(completions, groupAdvantages(rewards, groupSize, options.scale));
    this.#batch = 0;
    this.#options.onRound?.(reportRound(this.#round, rewards, completions, groupSize));
  }

  /** Each task once, in seeded order, before one comes again. */
  #nextTask(): Task {
    const { tasks } = this.#options;
    const epoch = Math.floor(this.#numDrawn / tasks.length);
    const order = new ShuffledIndices(tasks.length, new Random(this.#sizes.seed).fork(`tasks ${epoch}`));
    return tasks[order.at(this.#numDrawn++ % tasks.length)]!;
  }

  async #scoreRows(completions: readonly Completion[], advantages: Float64Array): Promise<DrawnRow[]> {
    const { engine, objective, weights, reference } = this.#options;
    const rows = completions.map(({ row }) => row);
    const score = async (model: WeightedModel) => {
      const program = logProbProgram(engine, model, objective.options.temperature);
      try {
        return await program.run(rows);
      } finally {
        program.dispose();
      }
    };
    const old = await score({ model: objective.model, weights });
    const other = objective.hasReference ? await score(reference!) : undefined;
    return rows.map(({ tokens, learnt }, i) => ({
      tokens: Array.from(tokens),
      promptLength: learnt.indexOf(1),
      advantage: advantages[i]!,
      oldLogProbs: Array.from(old[i]!.subarray(0, tokens.length)),
      ...(other && { referenceLogProbs: Array.from(other[i]!.subarray(0, tokens.length)) }),
    }));
  }

  #examples(drawn: readonly DrawnRow[]): Examples {
    const { model, options, hasReference } = this.#options.objective;
    const longest = this.#rows.reduce((most, { tokens }) => Math.max(most, tokens.length), 0);
    const [B, T] = [drawn.length, paddedLength(longest, model.shape.contextLength)];
    const rows = drawn.map(rowOf);
    const { tokens, targets } = rowInputs(rows, { batchSize: B, contextLength: T });
    const counts = rows.map(options.aggregation === "dapo" ? numLearnt : () => 1);
    return {
      inputs: {
        ...{ tokens, targets },
        advantages: hostTensor(
          "float32",
          [B],
          Float32Array.from(drawn, ({ advantage }) => advantage),
        ),
        oldLogProbs: stackLines(
          drawn.map(({ oldLogProbs }) => oldLogProbs),
          T,
        ),
        ...(hasReference && {
          referenceLogProbs: stackLines(
            drawn.map(({ referenceLogProbs }) => referenceLogProbs!),
            T,
          ),
        }),
      },
      numTargets: { policy: counts, ...(hasReference && { divergence: counts }) },
      contextLength: T,
    };
  }
}

function readSizes(options: GrpoStreamOptions): RoundOptions {
  const { tasksPerRound = 4, groupSize = 8, innerEpochs = 1, seed = 1 } = options;
  const round = tasksPerRound * groupSize;
  const sizes = readFields<RoundOptions>(
    "grpo",
    {
      tasksPerRound: integer(1, 2 ** 16),
      groupSize: integer(2, 2 ** 16),
      innerEpochs: integer(1, 2 ** 16),
      batchSize: integer(1, 2 ** 20),
      seed: integer(0, 2 ** 32 - 1),
    },
    { tasksPerRound, groupSize, innerEpochs, seed, batchSize: options.batchSize ?? round },
  );
  const fail = (where: string, expected: string, got: string): never => {
    throw new ConfigError({ where: `grpo.${where}`, expected, got });
  };
  if (round % sizes.batchSize !== 0) {
    fail("batchSize", `a divisor of the ${round} texts of a round`, `${sizes.batchSize}`);
  }
  if (options.tasks.length === 0) fail("tasks", "at least one", "none");
  if (options.objective.hasReference && !options.reference) {
    fail("reference", "a model to stay near, since beta is above 0", "none");
  }
  return sizes;
}

function reportRound(
  round: number,
  rewards: readonly number[],
  completions: readonly Completion[],
  groupSize: number,
): RoundReport {
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const groups = Array.from({ length: rewards.length / groupSize }, (_, i) =>
    rewards.slice(i * groupSize, (i + 1) * groupSize),
  );
  return {
    round,
    meanReward: mean(rewards),
    tellingGroups: mean(groups.map((group) => Number(group.some((reward) => reward !== group[0])))),
    ended: mean(completions.map(({ isEnded }) => Number(isEnded))),
    meanTokens: mean(completions.map(({ row }) => numLearnt(row))),
  };
}

function rowOf({ tokens, promptLength }: DrawnRow): TrainingRow {
  const learnt = Uint8Array.from(tokens, (_, place) => Number(place >= promptLength));
  return { tokens: Int32Array.from(tokens), learnt };
}

/** Lines side by side, padded to T. */
function stackLines(lines: readonly (readonly number[])[], T: number): HostTensor {
  const data = new Float32Array(lines.length * T);
  for (const [row, line] of lines.entries()) data.set(line, row * T);
  return hostTensor("float32", [lines.length, T], data);
}
