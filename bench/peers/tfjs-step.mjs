/**
 * Peer: one GPT-2 training step in TensorFlow.js on its wasm backend, float32. Adam, because the library has
 * no decoupled decay: a little less work than the others do. One thread, because the library turns its
 * threads off in Node (`WASM_HAS_MULTITHREAD_SUPPORT`, tfjs issue 3830); forced on, it fails to start.
 *
 * Legend: B batch, T tokens, C width, H heads, D head width, V vocabulary.
 */
import {
  importOrReportMissing,
  initialWeights,
  pinnedVersion,
  randomBatches,
  readOptions,
  servePeer,
} from "./protocol.mjs";

const NORM_EPSILON = 1e-5;
const HIDDEN = -1e9;

const options = readOptions();
const { default: tf } = await importOrReportMissing("@tensorflow/tfjs");
const { default: wasm } = await importOrReportMissing("@tensorflow/tfjs-backend-wasm");
await tf.setBackend("wasm");

const weights = {};
for (const [name, { shape, data }] of Object.entries(initialWeights(options))) {
  weights[name] = tf.variable(tf.tensor(data, shape), true, name);
}
const batches = randomBatches(options).map(({ tokens, targets }) => ({
  tokens: tf.tensor1d(tokens, "int32"),
  targets: oneHot(tf.tensor1d(targets, "int32")),
}));
const causalBias = tf.tidy(() => {
  const positions = tf.range(0, options.context);
  const later = tf.greater(tf.expandDims(positions, 0), tf.expandDims(positions, 1));
  return tf.mul(tf.cast(later, "float32"), HIDDEN); // (T, T)
});
const optimizer = tf.train.adam(1e-3, 0.9, 0.95, 1e-8);

function oneHot(indices) {
  return tf.cast(tf.oneHot(indices, options.vocab), "float32");
}

/**
 * `a·b` whose gradient transposes first. The library's own asks the wasm kernel for transposed operands, which
 * leaves XNNPACK for a scalar loop some twenty times slower.
 */
const product = tf.customGrad((a, b, save) => {
  save([a, b]);
  return {
    value: tf.matMul(a, b),
    gradFunc: (dy, [left, right]) => [tf.matMul(dy, tf.transpose(right)), tf.matMul(tf.transpose(left), dy)],
  };
});

function linear(x, name) {
  return tf.add(product(x, weights[`${name}Weight`]), weights[`${name}Bias`]);
}

function norm(x, name) {
  const { mean, variance } = tf.moments(x, -1, true);
  const scaled = tf.mul(tf.sub(x, mean), tf.rsqrt(tf.add(variance, NORM_EPSILON)));
  return tf.add(tf.mul(scaled, weights[`${name}Weight`]), weights[`${name}Bias`]);
}

/** `x/2 · (1 + tanh(√(2/π) · (x + 0.044715·x³)))`; the library has no GELU of its own. */
function gelu(x) {
  const inner = tf.mul(tf.add(x, tf.mul(tf.mul(tf.square(x), x), 0.044715)), Math.sqrt(2 / Math.PI));
  return tf.mul(tf.mul(x, 0.5), tf.add(tf.tanh(inner), 1));
}

function attention(x, layer) {
  const { batch, context, heads, width } = options;
  const [query, key, value] = tf
    .split(linear(x, `${layer}.qkv`), 3, 1)
    .map((part) => tf.transpose(tf.reshape(part, [batch, context, heads, width / heads]), [0, 2, 1, 3]));
  const scores = tf.mul(tf.matMul(query, key, false, true), 1 / Math.sqrt(width / heads)); // (B, H, T, T)
  const mixed = tf.matMul(tf.softmax(tf.add(scores, causalBias)), value); // (B, H, T, D)
  return linear(
    tf.reshape(tf.transpose(mixed, [0, 2, 1, 3]), [batch * context, width]),
    `${layer}.attentionOut`,
  );
}

/**
 * Mean cross-entropy in nats. Tokens are looked up by a product with one-hot rows: the gradient of `gather`
 * needs the kernel UnsortedSegmentSum, which the wasm backend does not have.
 */
function loss({ tokens, targets }) {
  const { layers, width, context, batch } = options;
  const looked = product(oneHot(tokens), weights.tokens);
  const placed = tf.add(tf.reshape(looked, [batch, context, width]), weights.positions);
  let x = tf.reshape(placed, [batch * context, width]); // (B·T, C)
  for (let layer = 0; layer < layers; layer++) {
    x = tf.add(x, attention(norm(x, `${layer}.norm1`), layer));
    const wide = gelu(linear(norm(x, `${layer}.norm2`), `${layer}.up`));
    x = tf.add(x, linear(wide, `${layer}.down`));
  }
  const logits = product(norm(x, "norm"), tf.transpose(weights.tokens)); // (B·T, V)
  return tf.losses.softmaxCrossEntropy(targets, logits);
}

let cursor = 0;
let latestLoss;

await servePeer({
  peer: `tfjs ${pinnedVersion("@tensorflow/tfjs")} wasm`,
  threads: wasm.getThreadsCount(),
  async step() {
    const batch = batches[cursor++ % batches.length];
    latestLoss?.dispose();
    latestLoss = tf.tidy(() => optimizer.minimize(() => loss(batch), true));
  },
  readLoss: async () => (await latestLoss.data())[0],
});
