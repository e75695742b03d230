// A scalar function of tensors, its gradient, and a program that computes both.

import { Engine, exportOnnx, hostTensor, input, valueAndGrad } from "plinth";

const engine = new Engine();

// Softplus, log(1 + eˣ), summed over a vector. Its derivative is the logistic function.
const x = input("x", "float32", [4]);
const { value, gradients } = valueAndGrad((x) => x.exp().add(1).log().sum())(x);

const program = engine.compile("softplus", { value, slope: gradients[0]! });
const { slope } = await program.run({ x: hostTensor("float32", [4], Float32Array.of(-2, 0, 1, 3)) });
program.dispose();

const show = (values: ArrayLike<number | bigint>) =>
  Array.from(values, (number) => Number(number).toFixed(4)).join(" ");
console.log(show(slope!.data)); // => 0.1192 0.5000 0.7311 0.9526

// Gradients are graphs like any other: differentiate again, or write them to a file.
const second = valueAndGrad((x) => x.mul(x).mul(x).sum())(x).gradients[0]!; // 3x²
const curvature = valueAndGrad(() => second.sum())(x).gradients[0]!;
console.log(exportOnnx("second", { second }).length > 0, curvature.shape.join()); // => true 4
