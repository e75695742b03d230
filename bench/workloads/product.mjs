/** What this machine's arithmetic can do at best: the product of two 1024 × 1024 float32 matrices. */
import { allocate } from "../../dist/core/dtype.js";
import { input } from "../../dist/tensor/tensor.js";

const SIZE = 1024;
const WARM_UP_RUNS = 4;

/** @returns a function that runs the product `count` times and gives its rate, in GFLOP/s */
export function createProduct(engine) {
  const shape = [SIZE, SIZE];
  const ones = () => ({ dtype: "float32", shape, data: allocate("float32", SIZE * SIZE).fill(1) });
  const left = input("left", "float32", shape);
  const program = engine.compile("product", { product: left.matmul(input("right", "float32", shape)) });
  for (const name of ["left", "right", "product"]) program.bind(name, ones());
  return async (count) => {
    for (let run = 0; run < WARM_UP_RUNS; run++) await program.run();
    const start = performance.now();
    for (let run = 0; run < count; run++) await program.run();
    return (2 * SIZE ** 3 * count) / (performance.now() - start) / 1e6;
  };
}
