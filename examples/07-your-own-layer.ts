// A network without a recipe: layers declare parameters, an arena holds their numbers, AdamW moves them. It learns the parity
// of four bits, which no linear model can.

import { Engine, gradients, hostTensor, initializeParameters, input, Random, type Tensor } from "plinth";
import { Linear, normal, type Parameter, Scope } from "plinth/nn";
import { AdamW, ParameterArena } from "plinth/train";

// N cases · I bits · C hidden width

class Mlp {
  readonly parameters: readonly Parameter[];
  readonly #expand: Linear;
  readonly #contract: Linear;

  constructor(inSize: number, width: number) {
    const scope = new Scope();
    const linear = (name: string, from: number, to: number) =>
      new Linear(scope.at(name), {
        inSize: from,
        outSize: to,
        bias: true,
        layout: "out-in",
        initialize: normal(1 / Math.sqrt(from)),
      });
    this.#expand = linear("expand", inSize, width);
    this.#contract = linear("contract", width, 2);
    this.parameters = scope.parameters;
  }

  forward(x: Tensor): Tensor {
    return this.#contract.forward(this.#expand.forward(x).gelu()); // (N, 2)
  }
}

const engine = new Engine({ threads: 1 });
const model = new Mlp(4, 32);
const arena = new ParameterArena(model.parameters);
const initial = initializeParameters(model.parameters, new Random(1));
for (const [path, { data }] of arena.weights())
  (data as Float32Array).set(initial.get(path)!.data as Float32Array);

const logits = model.forward(input("bits", "float32", [16, 4]));
const loss = logits.crossEntropy(input("labels", "int32", [16]));
const byParameter = gradients(
  loss,
  model.parameters.map(({ tensor }) => tensor),
);
const program = engine.compile("step", {
  loss,
  ...Object.fromEntries(model.parameters.map(({ path }, i) => [`gradient of ${path}`, byParameter[i]!])),
});
for (const parameter of model.parameters) {
  program.bind(parameter.path, arena.view("weights", parameter)); // read where they lie
  program.bind(`gradient of ${parameter.path}`, arena.view("gradients", parameter)); // written where AdamW reads
}

const cases = Array.from({ length: 16 }, (_, n) => [0, 1, 2, 3].map((bit) => (n >> bit) & 1));
const bits = hostTensor("float32", [16, 4], Float32Array.from(cases.flat()));
const parity = cases.map((row) => row.reduce((a, b) => a ^ b));
const labels = hostTensor("int32", [16], Int32Array.from(parity));

const optimizer = new AdamW(engine, arena, { beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0 });
let lossNats = Number.NaN;
for (let step = 1; step <= 300; step++) {
  lossNats = Number((await program.run({ bits, labels })).loss!.data[0]);
  await optimizer.update(step, 0.02, 1);
}
optimizer.dispose();
program.dispose();
console.error(`${lossNats.toFixed(4)} nats; a coin has ${Math.LN2.toFixed(4)}`);
console.log(lossNats < 0.01); // => true
