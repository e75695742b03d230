import type { Op } from "./op.ts";
import * as activation from "./ops/activation.ts";
import * as after from "./ops/after.ts";
import * as attention from "./ops/attention.ts";
import * as cachedAttention from "./ops/cached-attention.ts";
import * as compare from "./ops/compare.ts";
import * as convolution from "./ops/convolution.ts";
import * as convolutionTranspose from "./ops/convolution-transpose.ts";
import * as elementwise from "./ops/elementwise.ts";
import * as groupNorm from "./ops/group-norm.ts";
import * as indexing from "./ops/indexing.ts";
import * as layout from "./ops/layout.ts";
import * as loss from "./ops/loss.ts";
import * as matmul from "./ops/matmul.ts";
import * as normalize from "./ops/normalize.ts";
import * as pool from "./ops/pool.ts";
import * as reduce from "./ops/reduce.ts";
import * as rotary from "./ops/rotary.ts";
import * as softmax from "./ops/softmax.ts";
import * as topK from "./ops/top-k.ts";

const MODULES: readonly object[] = [
  activation,
  after,
  attention,
  compare,
  convolution,
  convolutionTranspose,
  elementwise,
  indexing,
  layout,
  loss,
  matmul,
  normalize,
  reduce,
  cachedAttention,
  groupNorm,
  pool,
  rotary,
  topK,
  softmax,
];

/** Every operator there is, by being exported from its file: what the registry test walks. */
export const OPS: readonly Op[] = MODULES.flatMap((module) => Object.values(module).filter(isOp));

/** Whether what a file exports is an operator. */
export function isOp(value: unknown): value is Op {
  return typeof value === "object" && value !== null && "infer" in value && "reference" in value;
}
