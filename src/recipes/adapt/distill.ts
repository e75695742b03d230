import { checkSameVocabulary, Distillation, type DistillationOptions } from "../../adapt/distillation.ts";
import { Teacher, teachingStream } from "../../adapt/teacher.ts";
import { ConfigError } from "../../core/errors.ts";
import { integer, readFields, real, string } from "../../core/fields.ts";
import { sizeInBytes } from "../../core/weights.ts";
import type { Engine } from "../../engine/engine.ts";
import type { CausalLM } from "../../models/contracts.ts";
import type { ExampleStream, Objective } from "../../train/objective.ts";
import type { TableRow } from "../../train/report/html.ts";
import { describeRun } from "../describe.ts";
import type { AdaptRecipe } from "./adapt-recipe.ts";
import { type LoadedDecoder, loadDecoder } from "./load-decoder.ts";

/** The section of recipes that have a teacher. */
export const DISTILL = "distill";

/** What is learnt from a teacher. */
interface DistillRecipe {
  /** Its directory. */
  readonly teacher: string;
  /** The teacher's share of the loss; the rest is that of the examples. */
  readonly weight: number;
  /** Above 1, what the teacher thinks of unlikely tokens counts for more. */
  readonly temperature: number;
  /** The teacher gives its scores of that many tokens each; 0: of all. */
  readonly topK: number;
}

/** @throws {ConfigError} if there is no teacher, or a setting is unknown or out of range. */
export function readDistill(input: object): DistillRecipe {
  if (!("teacher" in input)) {
    const fix = "Name it by --teacher.";
    throw new ConfigError({ where: DISTILL, expected: "a teacher to learn from", got: "none", fix });
  }
  return readFields<DistillRecipe>(
    DISTILL,
    {
      teacher: string(),
      weight: real(0.001, 1, 0.5),
      temperature: real(0.01, 100, 2),
      topK: integer(0, 2 ** 31, 0),
    },
    input,
  );
}

/** A teacher at work: what a run that has one does otherwise. */
export interface Lessons {
  readonly teacher: LoadedDecoder;
  objective(student: CausalLM): Objective;
  examples(stream: ExampleStream): ExampleStream;
  readonly facts: readonly TableRow[];
  /** Bytes of its weights, and of what it says of a batch. */
  readonly heldBytes: number;
  dispose(): void;
}

/**
 * Loads the teacher of a run; nothing where it has none.
 *
 * @throws as `loadDecoder`
 * @throws {ConfigError} if student and teacher do not share a tokenizer, or `topK` is more than they have tokens.
 */
export function openLessons(
  engine: Engine,
  student: LoadedDecoder,
  recipe: AdaptRecipe,
): Lessons | undefined {
  const section = recipe[DISTILL] as DistillRecipe | undefined;
  if (!section) return undefined;
  const { weight, temperature, topK } = section;
  const options: DistillationOptions = {
    ...{ labelShare: 1 - weight, temperature, pack: recipe.batch.pack },
    ...(topK > 0 && { topK }),
  };
  const loaded = loadDecoder(section.teacher, recipe, "teacher");
  checkSameVocabulary(student, loaded);
  const objective = new Distillation(student.model, options);
  const teacher = new Teacher(engine, loaded.model, loaded.weights);
  const { batchSize, contextLength } = recipe.train;
  // A float32 for each score, and for some of them an int32 that says which token it is of.
  const bytesPerToken = topK > 0 ? 8 * topK : 4 * student.model.shape.vocabularySize;
  const weights = [...loaded.weights.values()].reduce((sum, each) => sum + sizeInBytes(each), 0);
  return {
    teacher: loaded,
    objective: (of) => new Distillation(of, options),
    examples: (stream) => teachingStream(stream, teacher, objective),
    facts: [{ label: "teacher", value: `${loaded.directory} · ${describeRun(loaded.model)}` }],
    heldBytes: weights + batchSize * contextLength * bytesPerToken,
    dispose: () => teacher.dispose(),
  };
}
