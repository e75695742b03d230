import { type FileTensor, isQuantized, type QuantizedTensor, type Weights } from "../../core/weights.ts";
import type { CausalLM } from "../../models/contracts.ts";
import { headOfCausal, headOfEncoder, isQuantizable } from "../../models/quantizable.ts";
import type { Parameter } from "../../nn/scope.ts";
import {
  checkTrainingMemory,
  describeForecast,
  type TrainingAlternative,
} from "../../plan/check-training-memory.ts";
import type { TrainingMemoryRequest } from "../../plan/training-forecast.ts";
import { limitsOf, type MemoryLimits } from "../memory-limits.ts";
import type { AdaptRecipe, ReadRecipe } from "./adapt-recipe.ts";
import type { BaseModel } from "./method.ts";
import { METHODS } from "./methods.ts";
import type { PreparedTask } from "./task.ts";
import { assembleTrainee, type Trainee } from "./trainee.ts";

/** Numbers that share a scale in a base that `qlora` quantises. */
const BLOCK_SIZE = 64;

/**
 * What a run will hold at most, as a sentence.
 *
 * @throws {EnvironmentError} if the run will not fit into memory, with what would.
 */
export function checkRunMemory<M extends BaseModel>(
  prepared: PreparedTask<M>,
  trainee: Trainee<M>,
  read: ReadRecipe,
  limits: MemoryLimits,
): string {
  const request = requestOf(prepared, trainee, read.recipe);
  const alternatives = otherMethods(prepared, read);
  return `memory: ${describeForecast(checkTrainingMemory(request, { alternatives, ...limitsOf(limits) }))}`;
}

function requestOf<M extends BaseModel>(
  { group = 1, heldBytes = 0, examples, sample }: PreparedTask<M>,
  { objective, frozen, model }: Trainee<M>,
  { train: options }: AdaptRecipe,
): TrainingMemoryRequest {
  const shapes = typeof examples === "function" ? undefined : examples.shapes;
  const writes = sample !== undefined || typeof examples === "function";
  const writer = writes ? asDecoder(model) : undefined;
  return { ...{ objective, options, frozen, group, heldBytes, shapes, writer }, keepsInitialWeights: true };
}

function asDecoder(model: BaseModel): CausalLM | undefined {
  return "heads" in model ? undefined : model;
}

/** The same run with the base left as it is, in float32 or in four bits, where that is not what was asked for already. */
function otherMethods<M extends BaseModel>(
  prepared: PreparedTask<M>,
  { recipe, task, method }: ReadRecipe,
): readonly TrainingAlternative[] {
  if ([...prepared.weights.values()].some(isQuantized)) return [];
  const names = method.record.needsFloats ? ["lora", "qlora"] : ["qlora"];
  const usable = names.filter((name) => task.methods?.includes(name) ?? true);
  return usable.map((name) => ({
    what: `--method ${name}`,
    request: () => {
      const chosen = METHODS[name]!.choose(recipe.lora ?? {});
      const trainee = assembleTrainee(prepared, chosen, recipe.train.seed);
      const frozen = chosen.record.quantizes ? inFourBits(trainee.frozen, prepared) : trainee.frozen;
      return requestOf(prepared, { ...trainee, frozen }, recipe);
    },
  }));
}

/** Weights with the sizes that they would have in four bits; what the numbers are does not matter. */
function inFourBits<M extends BaseModel>(weights: Weights, { model, head }: PreparedTask<M>): Weights {
  const base: BaseModel = model;
  const kept = new Set(head.map(({ path }) => path));
  const ofTokens = "heads" in base ? headOfEncoder(base) : headOfCausal(base);
  if (ofTokens) kept.add(ofTokens);
  const changed = base.parameters.filter(
    (parameter) =>
      weights.has(parameter.path) && !kept.has(parameter.path) && isQuantizable(parameter, base, "nf4"),
  );
  return new Map([...weights, ...changed.map((parameter) => [parameter.path, blocksOf(parameter)] as const)]);
}

function blocksOf({ shape, sumAxis }: Parameter): QuantizedTensor {
  const axis = sumAxis as 0 | 1;
  const blocks = Math.ceil(shape[axis]! / BLOCK_SIZE);
  const part = (dtype: "uint8" | "float32", sizes: readonly number[]): FileTensor => ({
    ...{ dtype, shape: sizes, byteOffset: 0 },
    file: { path: "", sizeBytes: 0, modifiedMs: 0 },
  });
  const rows = shape[1 - axis]!;
  return {
    ...{ scheme: "nf4", blockSize: BLOCK_SIZE, shape, axis },
    values: part("uint8", [rows, blocks, BLOCK_SIZE / 2]),
    scales: part("float32", [rows, blocks]),
  };
}
