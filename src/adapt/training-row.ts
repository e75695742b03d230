import { IGNORED_TARGET } from "../data/validation-windows.ts";

/** One example as tokens, and which of them the model is to learn to write. */
export interface TrainingRow {
  readonly tokens: Int32Array;
  /** 1 where the token is learnt, 0 where it is only read: prompts, templates, results of tools. As long as `tokens`. */
  readonly learnt: Uint8Array;
}

/** What each token of a row is followed by, where that is to be learnt; elsewhere {@link IGNORED_TARGET}. */
export function rowTargets({ tokens, learnt }: TrainingRow): Int32Array {
  return Int32Array.from(tokens, (_, i) => (learnt[i + 1] === 1 ? tokens[i + 1]! : IGNORED_TARGET));
}

/** How many tokens of a row count in the loss: nothing comes before the first one, so it never does. */
export function numLearnt({ learnt }: TrainingRow): number {
  return learnt.subarray(1).reduce((sum, flag) => sum + flag, 0);
}
