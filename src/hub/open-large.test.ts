import { closeSync, ftruncateSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openModelDirectory } from "./model-directory.ts";

let directory = "";
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "plinth-7b-"));
  writeSparseModel(directory);
});
afterAll(() => rmSync(directory, { recursive: true }));

/** Mistral 7B's tensors by shape, in bfloat16: 291 of them, 14.5 GB that take no room because they were never written. */
function tensorsOf7B(): Map<string, readonly number[]> {
  const [width, hidden, heads] = [4096, 14_336, 1024];
  const tensors = new Map<string, readonly number[]>([["model.embed_tokens.weight", [32_000, width]]]);
  for (let layer = 0; layer < 32; layer++) {
    const at = (name: string, shape: readonly number[]) =>
      tensors.set(`model.layers.${layer}.${name}.weight`, shape);
    at("input_layernorm", [width]);
    at("mlp.down_proj", [width, hidden]);
    at("mlp.gate_proj", [hidden, width]);
    at("mlp.up_proj", [hidden, width]);
    at("post_attention_layernorm", [width]);
    at("self_attn.k_proj", [heads, width]);
    at("self_attn.o_proj", [width, width]);
    at("self_attn.q_proj", [width, width]);
    at("self_attn.v_proj", [heads, width]);
  }
  return tensors.set("model.norm.weight", [width]).set("lm_head.weight", [32_000, width]);
}

function writeSparseModel(path: string): void {
  const tensors = [...tensorsOf7B()];
  const weightMap: Record<string, string> = {};
  for (let shard = 0; shard < 3; shard++) {
    const name = `model-0000${shard + 1}-of-00003.safetensors`;
    const header: Record<string, object> = { __metadata__: { format: "pt" } };
    let end = 0;
    for (const [tensor, shape] of tensors.slice(shard * 97, shard === 2 ? undefined : (shard + 1) * 97)) {
      const begin = end;
      end += 2 * shape.reduce((a, b) => a * b, 1);
      header[tensor] = { dtype: "BF16", shape, data_offsets: [begin, end] };
      weightMap[tensor] = name;
    }
    const text = Buffer.from(JSON.stringify(header));
    const prefix = Buffer.alloc(8);
    prefix.writeBigUInt64LE(BigInt(text.length));
    const descriptor = openSync(join(path, name), "w");
    writeSync(descriptor, Buffer.concat([prefix, text]));
    ftruncateSync(descriptor, 8 + text.length + end);
    closeSync(descriptor);
  }
  writeFileSync(
    join(path, "model.safetensors.index.json"),
    JSON.stringify({ metadata: {}, weight_map: weightMap }),
  );
  writeFileSync(join(path, "config.json"), "{}");
}

test("a 7B model opens in 50 ms of processor time, and no weights are read", () => {
  const durationsMs = Array.from({ length: 5 }, () => {
    const start = process.cpuUsage();
    const opened = openModelDirectory(directory);
    const { user, system } = process.cpuUsage(start);
    expect(opened.weights.names.length).toBe(291);
    expect(opened.weights.entry("lm_head.weight").shape).toEqual([32_000, 4096]);
    opened.close();
    return (user + system) / 1000;
  });
  // The first of a process compiles; a busy machine disturbs some.
  expect(Math.min(...durationsMs)).toBeLessThan(50);
});
