import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";

const DIST = join(import.meta.dirname, "../dist");

/** Writes a checkpoint of four layers, 201 MB, a tensor at a time; the largest takes 17 MB. */
const WRITER = `
const [dist, directory] = process.argv.slice(1);
const load = (path) => import(dist + "/" + path);
const { gpt2Config } = await load("models/gpt2/config.js");
const { Gpt2 } = await load("models/gpt2/model.js");
const { toPublishedConfig, publishedName } = await load("models/gpt2/weights.js");
const { ShardedWriter } = await load("hub/sharded-writer.js");
const { writeModelDirectoryLater } = await load("hub/model-directory.js");
const config = gpt2Config({ vocabularySize: 128, contextLength: 128, width: 1024, numLayers: 4, numHeads: 8 });
const { parameters } = new Gpt2(config);
await writeModelDirectoryLater(directory, { config: toPublishedConfig(config), files: {} }, async (temporary) => {
  const name = ({ path }) => publishedName(path);
  const writer = new ShardedWriter(temporary, parameters.map((p) => [{ name: name(p), dtype: "F32", shape: p.shape }]));
  for (const p of parameters) writer.write(name(p), new Float32Array(p.shape.reduce((a, b) => a * b)).map((_, i) => (i % 251) - 125));
  writer.finish();
});
`;

/** Quantises it, and prints by how much the most memory that the process ever held is above what it held before. */
const QUANTIZER = `
const [dist, source, target] = process.argv.slice(1);
const { readFileSync } = await import("node:fs");
const { quantizeModel } = await import(dist + "/models/quantize-model.js");
const kilobytes = (field) => Number(new RegExp(field + ":\\\\s+(\\\\d+)").exec(readFileSync("/proc/self/status", "utf8"))[1]);
const before = kilobytes("VmRSS");
await quantizeModel(source, target, { scheme: "int8" });
console.log(1024 * (kilobytes("VmHWM") - before));
`;

let root = "";
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "plinth-quantize-memory-"));
});
afterAll(() => rmSync(root, { recursive: true }));

function run(script: string, ...words: string[]): string {
  const { stdout, stderr, status } = spawnSync(process.execPath, [
    "--input-type=module",
    "-e",
    script,
    DIST,
    ...words,
  ]);
  expect({ status, stderr: stderr.toString() }).toEqual({ status: 0, stderr: "" });
  return stdout.toString();
}

test.skipIf(process.platform !== "linux")("quantising holds about the largest tensor, not the model", () => {
  const [source, target] = [join(root, "source"), join(root, "target")];
  run(WRITER, source);
  const size = statSync(join(source, "model.safetensors")).size;
  expect(size).toBeGreaterThan(200e6);
  const growth = Number(run(QUANTIZER, source, target));
  expect(growth).toBeGreaterThan(0);
  expect(growth).toBeLessThan(100e6);
  expect(statSync(join(target, "model.safetensors")).size).toBeLessThan(0.3 * size);
});
