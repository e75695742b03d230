// Byte-level BPE trained on this repository's prose, saved as the tokenizer.json that Hugging Face libraries read.

import { mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadTokenizer, StreamDecoder, saveTokenizer, trainByteBpe } from "plinth";

const texts = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"].map((path) => readFileSync(path, "utf8"));
const tokenizer = trainByteBpe(texts, { vocabularySize: 512 });

const text = "The gradient of a tokenizer? Né, that has none.";
const ids = tokenizer.encode(text);
console.log(tokenizer.decode(ids) === text); // => true
console.log(ids.length < new TextEncoder().encode(text).length); // => true

const directory = mkdtempSync(join(tmpdir(), "plinth-tokenizer-"));
saveTokenizer(directory, tokenizer, { contextLength: 128 });
console.log(loadTokenizer(directory).hash() === tokenizer.hash()); // => true

// Streaming never splits a character, though é is two bytes and may be two tokens.
const stream = new StreamDecoder(tokenizer);
const pieces = Array.from(tokenizer.encode("Né"), (id) => stream.push(id));
console.log(pieces.join("") + stream.flush()); // => Né
