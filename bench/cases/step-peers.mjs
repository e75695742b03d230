/** The same training step in other libraries. */
import { alternate, compareRounds, median } from "../measure.mjs";
import { Peer, startStep } from "../peer.mjs";
import { judge, skip } from "../row.mjs";

export const summary = "the same training step against PyTorch (three sizes), jax-js and TensorFlow.js";

/** Each size, and how many times as fast as each peer we want to be. */
const COMPARISONS = [
  { size: { layers: 6, width: 384, heads: 6, context: 256, batch: 8 }, targets: { pytorch: 1 } },
  {
    size: { layers: 4, width: 128, heads: 4, context: 64, batch: 12 },
    targets: { pytorch: 1, "jax-js": 5, tfjs: 5 },
  },
  { size: { layers: 12, width: 768, heads: 12, context: 256, batch: 2 }, targets: { pytorch: 1 } },
];

export async function* measure({ repeats, log }) {
  for (const { size, targets } of COMPARISONS) {
    const name = `step-peers/${size.layers}x${size.width}`;
    log(`${name}: plinth, ${Object.keys(targets).join(", ")}`);
    yield* compare({ name, size, targets, repeats, log });
  }
}

async function* compare({ name, size, targets, repeats, log }) {
  const sides = {};
  const missing = {};
  const start = async (key) => {
    const side = await startStep(key, size);
    if (side instanceof Peer) sides[key] = side;
    else missing[key] = side.missing;
  };
  try {
    for (const key of Object.keys(targets)) await start(key);
    if (Object.keys(sides).length > 0) await start("plinth");
    const measured = mapValues(sides, (side) => () => side.stepMs());
    const ms = sides.plinth ? await alternate(measured, repeats, log) : {};
    for (const [key, target] of Object.entries(targets)) {
      const row = { name: `${name}/${key}`, unit: "ms", rule: ["ratio", "≥", target] };
      if (missing[key]) yield skip({ ...row, peer: key, skipped: `${missing[key]} is not installed` });
      else yield judge({ ...row, peer: sides[key].name, ...against(ms.plinth, ms[key]) });
    }
  } finally {
    for (const side of Object.values(sides)) await side.quit();
  }
}

function mapValues(record, make) {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, make(value)]));
}

function against(ours, theirs) {
  return { value: median(ours), peerValue: median(theirs), ...compareRounds(theirs, ours) };
}
