/**
 * Peer: one GPT-2 training step in jax-js on its wasm backend, float32, the whole step under one `jit`.
 *
 * Legend: B batch, T tokens, C width, H heads, D head width, V vocabulary.
 */
import { setFlagsFromString } from "node:v8";
import { offerBrowserWorkers } from "./browser-workers.mjs";
import {
  importOrReportMissing,
  initialWeights,
  pinnedVersion,
  randomBatches,
  readOptions,
  servePeer,
} from "./protocol.mjs";

const ADAM = { learningRate: 1e-3, beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weightDecay: 0.1 };

const options = readOptions();
setFlagsFromString("--experimental-wasm-relaxed-simd"); // Node 20 hides the fused multiply-add it would use
offerBrowserWorkers(options.threads);
const {
  jit,
  nn,
  numpy: np,
  tree,
  valueAndGrad,
  blockUntilReady,
} = await importOrReportMissing("@jax-js/jax");

const toHeads = (x) => {
  const { width, heads, context, batch } = options;
  return x.reshape([batch, context, heads, width / heads]).transpose([0, 2, 1, 3]);
};

/**
 * Causal attention over (B, H, T, D). Written out because the library's `dotProductAttention` goes through
 * `einsum`, which calls iterator helpers that Node 20 does not have; its own body is these same operators.
 */
function attend(query, key, value) {
  const { width, heads, context } = options;
  const scores = np.matmul(query, key.transpose([0, 1, 3, 2])).mul(1 / Math.sqrt(width / heads));
  const visible = np.tri(context, context, 0, { dtype: np.bool });
  return np.matmul(nn.softmax(np.where(visible, scores, -Infinity), -1), value); // (B, H, T, D)
}

/** Mean cross-entropy in nats. Consumes its arguments, as every jax-js function must. */
function loss(weights, tokens, targets) {
  const { layers, width, context, batch, vocab } = options;
  const linear = (x, name) => np.dot(x, weights[`${name}Weight`]).add(weights[`${name}Bias`]);
  const norm = (x, name) => nn.standardize(x).mul(weights[`${name}Weight`]).add(weights[`${name}Bias`]);

  const table = weights.tokens;
  let x = np
    .dot(nn.oneHot(tokens, vocab), table.ref)
    .reshape([batch, context, width])
    .add(weights.positions)
    .reshape([batch * context, width]); // (B·T, C)
  for (let layer = 0; layer < layers; layer++) {
    const qkv = linear(norm(x.ref, `${layer}.norm1`), `${layer}.qkv`); // (B·T, 3C)
    const [query, key, value] = np.split(qkv, 3, 1).map(toHeads); // 3 × (B, H, T, D)
    const mixed = attend(query, key, value)
      .transpose([0, 2, 1, 3])
      .reshape([batch * context, width]); // (B·T, C)
    x = x.add(linear(mixed, `${layer}.attentionOut`));
    const wide = nn.gelu(linear(norm(x.ref, `${layer}.norm2`), `${layer}.up`));
    x = x.add(linear(wide, `${layer}.down`));
  }
  const logits = np.dot(norm(x, "norm"), table.transpose()); // (B·T, V)
  const picked = nn.logSoftmax(logits).mul(nn.oneHot(targets, vocab));
  return picked.sum().mul(-1 / (batch * context));
}

/** One AdamW step over every weight; decay on matrices only. `time` counts steps from 1. */
const trainStep = jit(function trainStep(state, tokens, targets) {
  const { weights, mean, square, time } = state;
  const [value, gradients] = valueAndGrad(loss)(tree.ref(weights), tokens, targets);
  const correction1 = np.subtract(1, np.power(ADAM.beta1, time.ref));
  const correction2 = np.subtract(1, np.power(ADAM.beta2, time.ref));
  const next = { weights: {}, mean: {}, square: {}, time: time.add(1) };
  for (const [name, weight] of Object.entries(weights)) {
    const gradient = gradients[name];
    const m = mean[name].mul(ADAM.beta1).add(gradient.ref.mul(1 - ADAM.beta1));
    const v = square[name].mul(ADAM.beta2).add(np.square(gradient).mul(1 - ADAM.beta2));
    const direction = m.ref.div(correction1.ref).div(np.sqrt(v.ref.div(correction2.ref)).add(ADAM.epsilon));
    const decay = weight.ndim >= 2 ? 1 - ADAM.learningRate * ADAM.weightDecay : 1;
    next.weights[name] = weight.mul(decay).sub(direction.mul(ADAM.learningRate));
    next.mean[name] = m;
    next.square[name] = v;
  }
  correction1.dispose();
  correction2.dispose();
  return [value, next];
});

const toArray = ({ shape, data }) => np.array(data).reshape(shape);
const zeros = ({ shape }) => np.zeros(shape);
const mapWeights = (make) =>
  Object.fromEntries(Object.entries(initialWeights(options)).map(([k, v]) => [k, make(v)]));

let state = {
  weights: mapWeights(toArray),
  mean: mapWeights(zeros),
  square: mapWeights(zeros),
  time: np.array(1, { dtype: np.float32 }),
};
const batches = randomBatches(options).map(({ tokens, targets }) => ({
  tokens: np.array(tokens, { dtype: np.int32 }),
  targets: np.array(targets, { dtype: np.int32 }),
}));
let cursor = 0;
let latestLoss;

await servePeer({
  peer: `jax-js ${pinnedVersion("@jax-js/jax")} wasm`,
  threads: options.threads,
  async step() {
    const { tokens, targets } = batches[cursor++ % batches.length];
    latestLoss?.dispose();
    [latestLoss, state] = trainStep(state, tokens.ref, targets.ref);
    await blockUntilReady(state);
  },
  readLoss: async () => (await latestLoss.ref.data())[0],
});
