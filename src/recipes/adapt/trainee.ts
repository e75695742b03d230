import { type Adapter, firstAdapterWeights } from "../../adapt/adapter.ts";
import { addMasks, Dropout, dropInTraining } from "../../adapt/dropout.ts";
import { ConfigError } from "../../core/errors.ts";
import { Random } from "../../core/random.ts";
import { type HostWeights, isQuantized, type Weights } from "../../core/weights.ts";
import { readWeight } from "../../engine/stored-tensor.ts";
import type { Parameter } from "../../nn/scope.ts";
import { reachableNodes } from "../../tensor/graph.ts";
import type { ExampleStream, Objective } from "../../train/objective.ts";
import { trainOnly } from "../../train/train-only.ts";
import type { TrainRun } from "../../train/train-run.ts";
import { type BaseModel, type ChosenMethod, type Fitted, withAdapter } from "./method.ts";
import type { PreparedTask } from "./task.ts";

/** A prepared task with a method chosen: what is trained, from where, over what. */
export interface Trainee<M extends BaseModel> {
  readonly model: M;
  readonly adapter: Adapter | undefined;
  readonly objective: Objective;
  readonly examples: TrainRun["examples"];
  /** Of what is trained. */
  readonly initialWeights: HostWeights;
  /** Of everything else. */
  readonly frozen: Weights;
}

/**
 * Puts the method on the task's model.
 *
 * @throws {ConfigError} if the method does not fit the model, or trains matrices that are quantised.
 */
export function assembleTrainee<M extends BaseModel>(
  prepared: PreparedTask<M>,
  method: ChosenMethod,
  seed: number,
): Trainee<M> {
  const { weights } = prepared;
  const fitted = method.apply(prepared);
  const { model, adapter, trained } = fitted;
  const { whole, mask } = withDropout(prepared, fitted, seed);
  const used = pathsInLoss(whole);
  const chosen = new Set(trained.map(({ path }) => path));
  const parameters = whole.model.parameters.filter(({ path }) => chosen.has(path) && used.has(path));
  checkFloats(parameters, weights, method);
  const random = new Random(seed).fork("weights");
  const first: HostWeights = adapter ? firstAdapterWeights(adapter, weights, random) : new Map();
  const initialWeights = new Map(
    parameters.map(({ path }) => [path, first.get(path) ?? readWeight(weights.get(path)!)] as const),
  );
  const frozen = new Map([...weights].filter(([path]) => !initialWeights.has(path)));
  const { examples } = prepared;
  return {
    ...{ model, adapter, initialWeights, frozen },
    objective: trainOnly(whole, parameters),
    examples:
      typeof examples === "function"
        ? (arena) => mask(examples(model, new Map([...frozen, ...arena.weights()])))
        : mask(examples),
  };
}

/** The objective, and what is done to examples, where some of an adapter's input is left out in training. */
function withDropout<M extends BaseModel>(prepared: PreparedTask<M>, fitted: Fitted<M>, seed: number) {
  if (!fitted.dropout) {
    return {
      whole: prepared.objective(fitted.model),
      mask: (examples: ExampleStream): ExampleStream => examples,
    };
  }
  const { lora, rate } = fitted.dropout;
  const dropout = new Dropout(rate, lora, seed);
  const create = (adapter: Adapter) => prepared.objective(withAdapter(prepared, adapter).model);
  return {
    whole: dropInTraining(dropout, lora, create),
    mask: (examples: ExampleStream): ExampleStream => addMasks(dropout, examples) as ExampleStream,
  };
}

/** Paths of the parameters that the loss depends on: a model may have heads that a task does not use. */
function pathsInLoss(objective: Objective): ReadonlySet<string> {
  const losses = objective.losses(
    { batchSize: 2, contextLength: Math.min(8, objective.model.shape.contextLength) },
    0,
  );
  return new Set(
    reachableNodes(Object.values(losses)).flatMap(({ leaf }) =>
      leaf?.kind === "parameter" ? [leaf.path] : [],
    ),
  );
}

function checkFloats(parameters: readonly Parameter[], weights: Weights, { record }: ChosenMethod): void {
  const coded = parameters.find(({ path }) => {
    const weight = weights.get(path);
    return weight !== undefined && isQuantized(weight);
  });
  if (!coded) return;
  throw new ConfigError({
    where: `method ${record.name}`,
    expected: "a base whose weights are floats",
    got: `one that is quantised (${coded.path})`,
    fix: "Use qlora, or the base it was made from.",
  });
}
