// B rows · T tokens · V vocabulary · K scores kept

import type { HostTensor } from "../core/dtype.ts";
import type { Weights } from "../core/weights.ts";
import type { Engine } from "../engine/engine.ts";
import type { Program } from "../engine/program.ts";
import type { CausalLM } from "../models/contracts.ts";
import { countFlops } from "../tensor/count-flops.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { BatchShape, ExampleStream, Examples } from "../train/objective.ts";
import { cutExamples } from "../train/slices.ts";
import { bindWeights, compileOver } from "../train/weighted-program.ts";
import { checkSameVocabulary, type Distillation, TEACHER_IDS, TEACHER_LOGITS } from "./distillation.ts";
import { rowScores } from "./row-scores.ts";

/** What the teacher computes for slices of one shape. */
interface Lesson {
  readonly program: Program;
  /** Operations of one run. */
  readonly flops: number;
}

/** A larger decoder whose weights stay as they are: mapped, quantised or in memory. */
export class Teacher {
  readonly model: CausalLM;
  readonly #engine: Engine;
  readonly #weights: Weights;
  readonly #programs = new Map<string, Lesson>();

  constructor(engine: Engine, model: CausalLM, weights: Weights) {
    this.#engine = engine;
    this.model = model;
    this.#weights = weights;
  }

  /** The batch, with what the teacher says of each of its tokens, and what that took. */
  async teach(examples: Examples, { options }: Distillation): Promise<Examples> {
    const parts: Readonly<Record<string, HostTensor>>[] = [];
    let spent = 0;
    for (const { shape, inputs } of cutExamples(examples, this.model)) {
      const { program, flops } = this.#lesson(shape, options);
      spent += flops;
      const needed = Object.entries(inputs).filter(([name]) => program.inputs.has(name));
      parts.push(await program.run(Object.fromEntries(needed)));
    }
    const names = Object.keys(parts[0]!);
    const taught = names.map((name) => [name, joinFirst(parts.map((part) => part[name]!))] as const);
    const counts = examples.numTargets.nextToken!;
    return {
      ...examples,
      flops: (examples.flops ?? 0) + spent,
      inputs: { ...examples.inputs, ...Object.fromEntries(taught) },
      numTargets: {
        ...(options.labelShare > 0 && { nextToken: counts }),
        ...(options.labelShare < 1 && { teacher: counts }),
      },
    };
  }

  dispose(): void {
    for (const { program } of this.#programs.values()) program.dispose();
    this.#programs.clear();
  }

  #lesson(shape: BatchShape, { topK, pack }: Distillation["options"]): Lesson {
    const { batchSize: B, contextLength: T } = shape;
    const key = [B, T, topK, pack].join();
    const known = this.#programs.get(key);
    if (known) return known;
    const { logits } = rowScores(this.model, shape, pack); // (B·T, V)
    const outputs: Record<string, Tensor> = {};
    if (topK === undefined) {
      outputs[TEACHER_LOGITS] = logits.reshape([B, T, this.model.shape.vocabularySize]);
    } else {
      const { values, indices } = logits.topK(topK);
      outputs[TEACHER_LOGITS] = values.reshape([B, T, topK]);
      outputs[TEACHER_IDS] = indices.cast("int32").reshape([B, T, topK]);
    }
    const program = compileOver(this.#engine, "teacher", outputs, this.#weights);
    bindWeights(program, this.#weights);
    const lesson = { program, flops: countFlops(Object.values(outputs)) };
    this.#programs.set(key, lesson);
    return lesson;
  }
}

/**
 * Batches of a stream with what a teacher says of them.
 *
 * @throws {ConfigError} if student and teacher do not share a vocabulary.
 * @example
 * const examples = teachingStream(rowStream(rows, options), teacher, new Distillation(student));
 */
export function teachingStream<Cursor>(
  stream: ExampleStream<Cursor>,
  teacher: Teacher,
  objective: Distillation,
): ExampleStream<Cursor> {
  checkSameVocabulary(objective, teacher);
  return {
    next: async () => teacher.teach(await stream.next(), objective),
    shapes: stream.shapes,
    state: () => stream.state(),
    restore: (cursor) => stream.restore(cursor),
  };
}

/** Tensors one after the other along their first axis. */
function joinFirst(parts: readonly HostTensor[]): HostTensor {
  const [{ dtype, shape, data: first }] = parts as [HostTensor, ...HostTensor[]];
  if (parts.length === 1) return parts[0]!;
  const rows = parts.reduce((sum, part) => sum + part.shape[0]!, 0);
  const total = parts.reduce((sum, part) => sum + part.data.length, 0);
  const data = dtype === "float32" ? new Float32Array(total) : new Int32Array(total);
  let at = 0;
  for (const part of parts) {
    data.set(part.data as typeof first & (Float32Array | Int32Array), at);
    at += part.data.length;
  }
  return { dtype, shape: [rows, ...shape.slice(1)], data };
}
