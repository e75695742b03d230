// Gradient descent by hand: how far does a car roll before it stops? Speeds and stopping distances of 50 cars, measured
// in the 1920s (Ezekiel, Methods of Correlation Analysis, 1930). A straight line is fitted to them.

import { constant, Engine, gradients, hostTensor, parameter } from "plinth";

const speedMph = [
  4, 4, 7, 7, 8, 9, 10, 10, 10, 11, 11, 12, 12, 12, 12, 13, 13, 13, 13, 14, 14, 14, 14, 15, 15, 15, 16, 16,
  17, 17, 17, 18, 18, 18, 18, 19, 19, 19, 20, 20, 20, 20, 20, 22, 23, 24, 24, 24, 24, 25,
];
const distanceFeet = [
  2, 10, 4, 22, 16, 10, 18, 26, 34, 17, 28, 14, 20, 24, 28, 26, 34, 34, 46, 26, 36, 60, 80, 20, 26, 54, 32,
  40, 32, 40, 50, 42, 56, 76, 84, 36, 46, 68, 32, 48, 52, 56, 64, 66, 54, 70, 92, 93, 120, 85,
];
const column = (values: readonly number[]) =>
  constant(hostTensor("float32", [values.length], Float32Array.from(values)));

const [slope, offset] = [parameter("slope", []), parameter("offset", [])];
const predicted = column(speedMph).mul(0.1).mul(slope).add(offset); // speeds near 1, so that one rate suits both
const error = predicted.sub(column(distanceFeet));
const loss = error.mul(error).mean();
const [bySlope, byOffset] = gradients(loss, [slope, offset]);

const rate = 0.2;
const program = new Engine({ threads: 1 }).compile("step", {
  loss,
  "new slope": slope.sub(bySlope!.mul(rate)),
  "new offset": offset.sub(byOffset!.mul(rate)),
});

let [now, before] = [0, 0].map(() => hostTensor("float32", [], new Float32Array(1)));
for (let step = 0; step < 500; step++) {
  const next = program.runSync({ slope: now!, offset: before! });
  now = next["new slope"]!;
  before = next["new offset"]!;
}
program.dispose();

// The exact least-squares solution is 3.9324 feet a mile an hour, minus 17.5791.
const fitted = [Number(now!.data[0]) * 0.1, Number(before!.data[0])];
console.log(fitted.map((number) => number.toFixed(2)).join(" ")); // => 3.93 -17.58
