import { join } from "node:path";
import { expect, test } from "vitest";
import { MISTRAL_FIXTURES } from "../../test/mistral-golden.ts";
import { inspectPath } from "./inspection.ts";

test("a checkpoint in Mistral's own layout is shown like the same in the Hugging Face layout", () => {
  const [original, published] = ["consolidated", "mistral"].map((name) => {
    const { model, tensors, sizeBytes, kind } = inspectPath(join(MISTRAL_FIXTURES, name), false);
    const byName = Object.fromEntries(tensors.map((tensor) => [tensor.name, tensor]));
    return { kind, sizeBytes, byName, shape: model?.shape, numParameters: model?.numParameters };
  });
  expect(original!.kind).toBe("model");
  expect(original!.shape).toMatchObject({ numKeyValueHeads: 1, slidingWindow: 5 });
  expect(original).toEqual(published);
});
