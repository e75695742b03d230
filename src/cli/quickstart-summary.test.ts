import { join } from "node:path";
import { expect, test } from "vitest";
import type { TaskAdaptation } from "../recipes/adapt-to-task.ts";
import type { QuickstartResult } from "../recipes/quickstart.ts";
import type { Rival } from "../recipes/rivals.ts";
import { summarizeQuickstart } from "./quickstart-summary.ts";

const rival = (value: number, lossNats: number, flops: number, trainedParameters: number) => {
  const best = { step: 10, value, lossNats, flops, seconds: flops / 1e11 };
  return { curve: [best], best, trainedParameters, bytes: 4 * trainedParameters } as unknown as Rival;
};

const adapted = rival(0.9, 0.1, 2e11, 75_000);
const adaptation = {
  task: { kinds: ["settings", "JavaScript"], training: Array(40), heldOut: Array(20) },
  rivalry: {
    adapted,
    scratch: rival(0.75, 0.2, 8e11, 1_000_000),
    saving: {
      lossNats: 0.2,
      reached: adapted.best,
      flops: 4,
      seconds: 4,
      trainedParameters: 13.3,
      bytes: 13.3,
    },
  },
  baselines: [{ label: "counting 3 bytes", accuracy: 0.7 }],
  adapterDirectory: join(process.cwd(), "runs/quickstart/adapter"),
  pagePath: join(process.cwd(), "runs/quickstart/adaptation.html"),
} as unknown as TaskAdaptation;

const pretrained = {
  ...{ completions: [{ kind: "code", prompt: "export ", text: "{};" }], seconds: 150, reason: "finished" },
  best: { step: 1, lossNats: 1, bitsPerByte: 1.9 },
  baselines: [{ label: "5-gram of bytes", bitsPerByte: 2 }],
  modelDirectory: join(process.cwd(), "runs/quickstart/model"),
  reportPath: join(process.cwd(), "runs/quickstart/report.html"),
} as unknown as QuickstartResult;

test("both rivals side by side, what counting does, the saving, and what to type next", () => {
  const text = summarizeQuickstart({ ...pretrained, adaptation }, "npx plinth");
  for (const line of [
    "                                 right   loss  arithmetic   time  trained  on disk",
    "  the base with LoRA            90.0 %  0.100   200 GFLOP  2.0 s   75.0 k   300 kB",
    "  the same network from scratch 75.0 %  0.200   800 GFLOP  8.0 s   1.00 M  4.00 MB",
    "  counting 3 bytes              70.0 %",
    "  LoRA got as low as the best from scratch for 4.0 × less arithmetic. It trained 13 × fewer parameters.",
    "  The model is ahead.",
    "  npx plinth merge runs/quickstart/model --adapter runs/quickstart/adapter --out runs/quickstart/merged",
  ]) {
    expect(text.replace(/ +/g, " ").split("\n")).toContain(line.replace(/ +/g, " "));
  }
});

test("what did not happen or did not work is not claimed", () => {
  const worse = { ...pretrained, best: { ...pretrained.best, bitsPerByte: 2.1 } } as QuickstartResult;
  const text = summarizeQuickstart({ ...worse, reason: "stopped" }, "npx plinth");
  expect(text).toContain("Counting is ahead");
  expect(text).not.toMatch(/LoRA|adapter|^model/m);
});
