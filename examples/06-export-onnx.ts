// A graph as a file of standard ONNX operators, for other tools and other machines.

import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { exportOnnx, Gpt2, gpt2Config, input } from "plinth";

const model = new Gpt2(
  gpt2Config({ vocabularySize: 256, contextLength: 32, width: 64, numLayers: 2, numHeads: 4 }),
);
// The batch may have any size; its dimension is a name.
const tokens = input("tokens", "int32", ["batch", 16]);
const hidden = model.hidden(tokens);
const bytes = exportOnnx("gpt2", { hidden });

const path = join(mkdtempSync(join(tmpdir(), "plinth-onnx-")), "gpt2.onnx");
writeFileSync(path, bytes);
console.error(`${path}: ${bytes.length} bytes, weights are inputs named by their published paths`);
console.log(hidden.shape.join(" × ")); // => batch × 16 × 64
console.log(bytes.length < 100_000); // => true
