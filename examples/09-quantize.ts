// A model in 4 bits a weight: what becomes of its size and of what it knows.
//
// usage: 09-quantize [model directory] [where to]    (example 04 saves one at runs/example/model)

import { Engine, loadModel, quantizeModel, scoredBitsPerByte, scoreTokens } from "plinth";

const [directory = "runs/example/model", small = "runs/example/int4"] = process.argv.slice(2);
const report = await quantizeModel(directory, small, { scheme: "int4", blockSize: 32 });
console.error(report);

const engine = new Engine();
const text = "A model is an ordinary TypeScript module.";
const [before, after] = await Promise.all(
  [directory, small].map(async (path) => {
    const { model, weights, tokenizer } = loadModel(path);
    const tokens = tokenizer!.encode(text);
    return scoredBitsPerByte(tokenizer!, tokens, await scoreTokens(engine, model, weights, tokens))!;
  }),
);
console.error(`bits per byte: ${before!.toFixed(3)}, in 4 bits ${after!.toFixed(3)}`);
console.log(after! < 1.03 * before!); // => true
