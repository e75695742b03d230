/** How much of the runtime's own matrix speed a whole training step keeps. */
import { alternate, compareRounds, median } from "../measure.mjs";
import { startStep } from "../peer.mjs";
import { judge } from "../row.mjs";

export const summary = "training step at 6 × 384 as a share of this runtime's own 1024³ product";

const SIZE = { layers: 6, width: 384, heads: 6, context: 256, batch: 8 };
const TARGET = 0.88;

/** About a second, like the steps: both sides should see the same hiccups. */
const PRODUCTS = 60;

export async function* measure({ repeats, log }) {
  const plinth = await startStep("plinth", SIZE);
  try {
    const { flopsPerStep } = await plinth.ask("step 1");
    const rates = await alternate(
      {
        step: async () => flopsPerStep / (await plinth.stepMs()) / 1e6,
        product: async () => (await plinth.ask(`rate ${PRODUCTS}`)).gflops,
      },
      repeats,
      log,
    );
    yield judge({
      name: "step",
      value: median(rates.step),
      unit: "GFLOP/s",
      peer: "own 1024³ product",
      peerValue: median(rates.product),
      ...compareRounds(rates.step, rates.product),
      rule: ["ratio", "≥", TARGET],
    });
  } finally {
    await plinth.quit();
  }
}
