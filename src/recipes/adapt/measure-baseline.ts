import type { Measure } from "../../train/objective.ts";
import type { Baseline } from "../../train/report.ts";

/** How good weights are by a measure, which is disposed, to compare with. */
export async function measureBaseline(label: string, measure: Measure): Promise<Baseline> {
  try {
    const { numTokens, lossNats, ...quality } = await measure.run();
    return { label, ...quality };
  } finally {
    measure.dispose();
  }
}
