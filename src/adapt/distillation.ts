// B rows · T tokens · V vocabulary · K scores kept of the teacher

import type { Tokenizer } from "../codecs/tokenizer.ts";
import { ConfigError } from "../core/errors.ts";
import { IGNORED_TARGET } from "../data/validation-windows.ts";
import type { CausalLM } from "../models/contracts.ts";
import { input, type Tensor } from "../tensor/tensor.ts";
import { trainingFlops } from "../train/flops.ts";
import type { BatchShape, Objective } from "../train/objective.ts";
import { distillationLoss, type TeacherScores } from "./distillation-loss.ts";
import { rowScores } from "./row-scores.ts";

/** What a student learns from, and how much of it. */
export interface DistillationOptions {
  /** α, the share of the labels in the loss, in [0, 1]; the rest is the teacher's. Default 0.5. */
  readonly labelShare?: number;
  /** τ: above 1, what the teacher thinks of unlikely tokens counts for more. Default 2. */
  readonly temperature?: number;
  /** The teacher gives its scores of that many tokens each; default: of all, which takes B · T · V numbers a batch. */
  readonly topK?: number;
  /** Rows are packed. */
  readonly pack?: boolean;
}

/**
 * A decoder learns to predict as a larger one does: α · cross-entropy + (1 − α) · τ² · KL(teacher ‖ student), over the tokens that are
 * learnt. What the teacher says comes with the batches; see `teachingStream`.
 *
 * @throws {ConfigError} if an option is out of range.
 */
export class Distillation implements Objective {
  readonly model: CausalLM;
  readonly options: Required<Omit<DistillationOptions, "topK">> & Pick<DistillationOptions, "topK">;

  constructor(model: CausalLM, options: DistillationOptions = {}) {
    this.model = model;
    this.options = { labelShare: 0.5, temperature: 2, pack: false, ...options };
    const { labelShare, temperature, topK = 1 } = this.options;
    const check = (name: string, fits: boolean, expected: string, got: number) => {
      if (!fits) throw new ConfigError({ where: `distillation, ${name}`, expected, got: `${got}` });
    };
    const { vocabularySize: V } = model.shape;
    check("labelShare", labelShare >= 0 && labelShare <= 1, "a number in [0, 1]", labelShare);
    check("temperature", temperature > 0 && temperature < Infinity, "a number above 0", temperature);
    check("topK", Number.isInteger(topK) && topK >= 1 && topK <= V, `an integer in [1, ${V}]`, topK);
  }

  losses(shape: BatchShape, labelSmoothing: number): Readonly<Record<string, Tensor>> {
    const { labelShare, temperature, pack } = this.options;
    const { logits, targets } = rowScores(this.model, shape, pack);
    const labels = () => logits.crossEntropy(targets, { ignoredLabel: IGNORED_TARGET, labelSmoothing });
    const teacher = () => distillationLoss(logits, targets, this.#teacherInputs(shape), temperature);
    return {
      ...(labelShare > 0 && { nextToken: labels().mul(labelShare) }),
      ...(labelShare < 1 && { teacher: teacher().mul(1 - labelShare) }),
    };
  }

  trainingFlops(shape: BatchShape): number {
    return trainingFlops(this.model, shape);
  }

  #teacherInputs({ batchSize: B, contextLength: T }: BatchShape): TeacherScores {
    const { topK: K } = this.options;
    const width = K ?? this.model.shape.vocabularySize;
    const logits = input(TEACHER_LOGITS, "float32", [B, T, width]).reshape([B * T, width]);
    if (K === undefined) return { logits };
    return { logits, ids: input(TEACHER_IDS, "int32", [B, T, K]).reshape([B * T, K]) };
  }
}

/** The input with the teacher's logits `(B, T, V)` or `(B, T, K)`. */
export const TEACHER_LOGITS = "teacher logits";
/** The input with the tokens that these are of, int32 `(B, T, K)`. */
export const TEACHER_IDS = "teacher ids";

/**
 * Scores can only be compared token by token where the tokens are the same.
 *
 * @throws {ConfigError} if the vocabularies have other sizes, or other tokens.
 */
export function checkSameVocabulary(
  student: { readonly model: CausalLM; readonly tokenizer?: Tokenizer },
  teacher: { readonly model: CausalLM; readonly tokenizer?: Tokenizer },
): void {
  const [own, other] = [student, teacher].map(({ model }) => model.shape.vocabularySize);
  const fail = (expected: string, got: string) => {
    const fix = "Give the student the teacher's tokenizer.";
    throw new ConfigError({ where: "teacher, vocabulary", expected, got, fix });
  };
  if (own !== other) fail(`${own} tokens, as the student has`, `${other}`);
  const [mine, theirs] = [student.tokenizer, teacher.tokenizer];
  if (!mine || !theirs || mine.hash() === theirs.hash()) return;
  for (let id = 0; id < Math.max(mine.vocabularySize, theirs.vocabularySize); id++) {
    const [text, said] = [mine, theirs].map((tokenizer) =>
      id < tokenizer.vocabularySize ? JSON.stringify(tokenizer.tokenText(id)) : "nothing",
    );
    if (text !== said) fail(`token ${id} to be ${text}, as for the student`, said!);
  }
}
