import { allocate, type HostTensor, hostTensor } from "../core/dtype.ts";
import { Engine } from "../engine/engine.ts";
import { input } from "../tensor/tensor.ts";
import type { EngineProbe } from "./doctor.ts";

const SIZE = 1024;
const WARM_UP_RUNS = 2;
const TIMED_RUNS = 5;

/**
 * Loads the engine and times a product of two 1024 × 1024 float32 matrices on all cores: the median of five, in
 * all about a quarter of a second.
 *
 * @throws {EnvironmentError} if the engine does not load.
 */
export async function probeEngine(): Promise<EngineProbe> {
  const engine = new Engine();
  const left = input("left", "float32", [SIZE, SIZE]);
  const right = input("right", "float32", [SIZE, SIZE]);
  const program = engine.compile("probe", { product: left.matmul(right) });
  program.bind("left", ones());
  program.bind("right", ones());
  program.bind("product", ones());
  const seconds: number[] = [];
  for (let run = 0; run < WARM_UP_RUNS + TIMED_RUNS; run++) {
    const start = performance.now();
    await program.run({});
    if (run >= WARM_UP_RUNS) seconds.push((performance.now() - start) / 1000);
  }
  program.dispose();
  const median = seconds.sort((a, b) => a - b)[TIMED_RUNS >> 1]!;
  return {
    version: engine.library.version,
    libraryPath: engine.library.path,
    matmulGflops: (2 * SIZE ** 3) / median / 1e9,
  };
}

function ones(): HostTensor {
  const shape = [SIZE, SIZE];
  return hostTensor("float32", shape, (allocate("float32", SIZE * SIZE) as Float32Array).fill(1));
}
