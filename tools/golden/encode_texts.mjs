// Encodes texts with Plinth's tokenizers, for compare_tokenizers.py: a request on stdin, ids, offsets in code points and the
// texts decoded on stdout.

import { readFileSync } from "node:fs";
import { parseSentencePiece } from "../../dist/codecs/sentencepiece.js";
import { parseTiktoken, TIKTOKEN_ENCODINGS } from "../../dist/codecs/tiktoken.js";
import { parseTokenizer } from "../../dist/codecs/tokenizer.js";

const { texts, files } = JSON.parse(readFileSync(0, "utf8"));

function load(path, kind) {
  if (kind === "json") return parseTokenizer(JSON.parse(readFileSync(path, "utf8")), path);
  if (kind === "sentencepiece") return parseSentencePiece(readFileSync(path), path);
  const name = path.split("/").at(-1).replace(".tiktoken", "");
  return parseTiktoken(readFileSync(path, "utf8"), TIKTOKEN_ENCODINGS[name], path);
}

/** Number of code points before each string index. */
function countPoints(text) {
  const counts = new Array(text.length + 1);
  let [at, count] = [0, 0];
  for (const char of text) {
    for (let i = 0; i < char.length; i++) counts[at++] = count;
    count++;
  }
  counts[at] = count;
  return counts;
}

const answer = {};
for (const [name, [path, kind]] of Object.entries(files)) {
  const tokenizer = load(path, kind);
  answer[name] = texts.map((text) => {
    const counts = countPoints(text);
    const { ids, offsets } = tokenizer.encodeInput(text, undefined, { marked: kind === "json" });
    const points = offsets.map(([start, end]) => [counts[start], counts[end]]);
    return [[...ids], points, tokenizer.decode(ids)];
  });
}
process.stdout.write(JSON.stringify(answer));
