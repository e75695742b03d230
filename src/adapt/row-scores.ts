// B rows · T tokens · V vocabulary

import type { CausalLM } from "../models/contracts.ts";
import { input, type Tensor } from "../tensor/tensor.ts";
import type { BatchShape } from "../train/objective.ts";
import { packedHidden } from "./packed-decoder.ts";

/** Scores of what follows each token, and what does. */
export interface RowScores {
  /** `(B·T, V)` */
  readonly logits: Tensor;
  /** Int32 `(B·T)` */
  readonly targets: Tensor;
}

/** A model on inputs as `padRows` makes them, as a graph. */
export function rowScores(
  model: CausalLM,
  { batchSize: B, contextLength: T }: BatchShape,
  pack: boolean,
): RowScores {
  const rows = (name: string) => input(name, "int32", [B, T]);
  const tokens = rows("tokens");
  const hidden = pack
    ? packedHidden(model, tokens, { documents: rows("documents"), positions: rows("positions") })
    : model.hidden(tokens);
  const logits = model.logits(hidden).reshape([B * T, model.shape.vocabularySize]);
  return { logits, targets: rows("targets").reshape([B * T]) };
}
