import { SCHEME_BITS } from "../core/weights.ts";
import type { ModelDirectory } from "../hub/model-directory.ts";
import { type QuantizationPlan, quantizationConfig } from "../hub/quantized-weights.ts";
import { companionFiles } from "./companion-files.ts";

/** All of a quantised model's directory but its weights: the configuration, and what the original has beside it. */
export function companions(opened: ModelDirectory, plan: QuantizationPlan) {
  const { files, card: original, ...others } = companionFiles(opened);
  return {
    ...others,
    config: { ...opened.config, quantization_config: quantizationConfig(plan) },
    files: { ...files, "README.md": card(original, plan) },
  };
}

function card(original: string | undefined, { blockSize, schemes, kept }: QuantizationPlan): string {
  const counts = Object.keys(SCHEME_BITS).flatMap((scheme) => {
    const count = [...schemes.values()].filter((of) => of === scheme).length;
    return count > 0 ? [`${count} matrices in ${scheme}`] : [];
  });
  const note = [
    "## Quantisation",
    "",
    `Quantised by Plinth: ${counts.join(", ")}, in blocks of ${blockSize}; ${kept.length} matrices as they were.`,
    "",
  ].join("\n");
  return `${original?.trimEnd() ?? "# Model"}\n\n${note}`;
}
