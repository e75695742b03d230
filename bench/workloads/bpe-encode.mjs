/** Workload: encodes a file once, in a process that has not encoded before. Arguments: text, tokenizer.json. */
import { readFileSync } from "node:fs";
import { parseTokenizer } from "../../dist/codecs/tokenizer.js";
import { say } from "./serve.mjs";

const [textPath, tokenizerPath] = process.argv.slice(2);
const text = readFileSync(textPath, "utf8");
const tokenizer = parseTokenizer(JSON.parse(readFileSync(tokenizerPath, "utf8")), tokenizerPath);

const start = performance.now();
const tokens = tokenizer.encode(text);
const seconds = (performance.now() - start) / 1000;

say({ seconds, tokens: tokens.length });
