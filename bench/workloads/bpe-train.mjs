/** Workload: trains a tokenizer on a file and writes it. Arguments: text, vocabulary size, tokenizer.json to write. */
import { readFileSync, writeFileSync } from "node:fs";
import { trainByteBpe } from "../../dist/codecs/train-byte-bpe.js";
import { say } from "./serve.mjs";

const [textPath, vocabularySize, outPath] = process.argv.slice(2);
const text = readFileSync(textPath, "utf8");

const start = performance.now();
const tokenizer = trainByteBpe([text], { vocabularySize: Number(vocabularySize) });
const seconds = (performance.now() - start) / 1000;

writeFileSync(outPath, JSON.stringify(tokenizer.toJSON()));
say({ seconds });
