import { FrozenBody } from "../../adapt/tasks/frozen-body.ts";
import type { ScoringModel, TextIds } from "../../adapt/tasks/scoring-model.ts";
import { sizeInBytes, type Weights } from "../../core/weights.ts";
import type { TableRow } from "../../train/report/html.ts";
import { formatSi } from "../../train/report/quantities.ts";
import type { TaskContext } from "./task.ts";

/** Settings of the method that trains a head alone. */
export interface HeadSettings {
  /** Most bytes that features of the body may take, to be computed once and kept; 0: they are computed at every step. */
  readonly cacheBytes: number;
}

/** A head's base, and the texts that it reads. */
interface HeadOnTexts {
  readonly model: ScoringModel;
  readonly weights: Weights;
  readonly training: readonly TextIds[];
  readonly heldOut: readonly TextIds[];
}

/** What is kept of a body that does not move. */
interface KeptFeatures {
  /** Takes the place of the model; absent where nothing is kept. */
  readonly body?: FrozenBody;
  /** Bytes of features, and of weights that no step reads any more. */
  readonly heldBytes: number;
  readonly facts: readonly TableRow[];
}

/** Says that features of a frozen body are computed at every step, where only a head is trained; the fact is for the report. */
export function keepNothing({ recipe, onNotice }: TaskContext, why: string): readonly TableRow[] {
  if (!recipe.head) return [];
  onNotice(`features of the frozen body are computed at every step: ${why}`);
  return [{ label: "features of the body", value: `computed at every step: ${why}` }];
}

/** Where only a head is trained, and it pays: features of the body are computed once, and kept. */
export function keepFeatures(
  context: TaskContext,
  { model, weights, training, heldOut }: HeadOnTexts,
): KeptFeatures {
  const { engine, recipe } = context;
  const settings = recipe.head as HeadSettings | undefined;
  if (!settings) return { heldBytes: 0, facts: [] };
  const { steps, accumulation, batchSize, contextLength } = recipe.train;
  const { cacheBytes } = settings;
  const body = new FrozenBody(engine, model, weights);
  const bytes = body.bytesFor([...training, ...heldOut]);
  const without = (why: string): KeptFeatures => ({ heldBytes: 0, facts: keepNothing(context, why) });
  if (bytes > cacheBytes) {
    return without(`they take ${formatSi(bytes, "B")}, more than head.cacheBytes=${cacheBytes}`);
  }
  if (steps * accumulation * batchSize <= training.length) return without("no example comes twice");
  const flops = body.flopsFor(training, { contextLength, maxBuckets: recipe.batch.maxBuckets });
  const told = `computed once: ${formatSi(bytes, "B")}; ${formatSi(flops, "FLOP")} for the training examples`;
  // The first step waits for it.
  context.onNotice(`features of the frozen body are ${told}`);
  const heldBytes = [...weights.values()].reduce((sum, weight) => sum + sizeInBytes(weight), bytes);
  return { body, heldBytes, facts: [{ label: "features of the body", value: told }] };
}
