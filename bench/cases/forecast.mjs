/** How well memory of training is forecast. */
import { startTraining } from "../peer.mjs";
import { judge } from "../row.mjs";

export const summary =
  "forecasts of training's memory against what runs take, with measuring and a sample, a million weights to 85";

const MOST_OFF = 0.15;

/** Decoders and an encoder with a classifier; layers, width, heads, vocabulary. */
const RUNS = {
  "full-12x768": { model: "gpt2:12,768,12,256", batch: 2 },
  "full-12x768-recompute": { model: "gpt2:12,768,12,256", batch: 2, recompute: 1 },
  "lora-12x768": { model: "gpt2:12,768,12,256", batch: 2, adapter: "lora" },
  "lora-12x768-recompute": { model: "gpt2:12,768,12,256", batch: 2, adapter: "lora", recompute: 1 },
  "bert-6x384": { model: "bert:6,384,6,8000", batch: 4, context: 128 },
  "bert-6x384-recompute": { model: "bert:6,384,6,8000", batch: 4, context: 128, recompute: 1 },
  "full-4x128": { model: "gpt2:4,128,4,256", batch: 8 },
  "full-2x64": { model: "gpt2:2,64,2,256", batch: 2, context: 64 },
  "full-6x384-50k": { model: "gpt2:6,384,6,50257", batch: 1 },
  "full-6x384-lengths": { model: "gpt2:6,384,6,4096", batch: 4, context: "64,128,192,256" },
  "lora-6x384-lengths": { model: "gpt2:6,384,6,4096", batch: 4, context: "64,128,192,256", adapter: "lora" },
  "full-6x384-int8": { model: "gpt2:6,384,6,4096", batch: 4, state: "int8" },
};

export async function* measure({ log }) {
  for (const [name, run] of Object.entries(RUNS)) {
    log(`forecast/${name}`);
    const side = await startTraining({ ...run, whole: 1 });
    const { peakRssBytes, forecastBytes } = await side.ask("memory");
    await side.quit();
    const megabytes = (bytes) => `${(bytes / 1e6).toFixed(0)} MB`;
    yield judge({
      name: `forecast/${name}`,
      value: Math.abs(forecastBytes / peakRssBytes - 1),
      unit: "off",
      rule: ["value", "≤", MOST_OFF],
      note: `${megabytes(forecastBytes)} forecast, ${megabytes(peakRssBytes)} measured`,
    });
  }
}
