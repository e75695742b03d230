import type { TrainingRow } from "../../adapt/training-row.ts";
import type { Tokenizer } from "../../codecs/tokenizer.ts";
import type { Text } from "../../data/rows/examples.ts";
import type { Row } from "../../data/rows/load-examples.ts";
import { TEXT } from "../../data/rows/text-kinds.ts";
import { bitsPerByte } from "../../eval/bits-per-byte.ts";
import type { Measure } from "../../train/objective.ts";
import { sampleText } from "../sample-text.ts";
import { useDecoderTask } from "./decoder-task.ts";
import { loadData } from "./load-data.ts";
import { loadDecoder } from "./load-decoder.ts";
import type { Task } from "./task.ts";

/** Continued pretraining: the base learns more text, of another kind than it knows. */
export const TEXT_TASK: Task = {
  name: "text",
  summary: "continue text of another kind: pretraining that goes on",
  fields: TEXT.fields,
  canBeTaught: true,
  train: { contextLength: 256, steps: 500 },
  readSettings: () => ({}),
  prepare: async (context, use) => {
    const base = loadDecoder(context.base, context.recipe);
    const { tokenizer } = base;
    const { engine, recipe } = context;
    const { contextLength, seed } = recipe.train;
    const data = await loadData(TEXT, context);
    const cut = (rows: readonly Row<Text>[]) => cutWindows(rows, tokenizer, contextLength);
    const rows = { training: cut(data.training), heldOut: cut(data.validation) };
    const bytes = rows.heldOut.reduce((sum, row) => sum + predictedBytes(row, tokenizer), 0);
    return useDecoderTask(
      {
        ...{ base, data, context, rows, facts: [], metric: "perplexity" as const },
        restate: (measure) => inBitsPerByte(measure, bytes),
        judge: async () => undefined,
        sample: (model, weights) => sampleText({ engine, model, tokenizer, prompt: "", seed }, weights),
        nextCommands: (directory) => [`generate ${directory} --prompt "…"`],
      },
      use,
    );
  },
};

/**
 * Documents one after the other, each with the end of text behind it, cut into windows of the context's length. Each window but a
 * side's first begins with the last token of the one before, so that every token but the very first is predicted once.
 */
function cutWindows(rows: readonly Row<Text>[], tokenizer: Tokenizer, length: number): TrainingRow[] {
  const documents = rows.map(({ example }) => tokenizer.encode(example.text));
  const ids = new Int32Array(documents.reduce((sum, { length: count }) => sum + count + 1, 0));
  let at = 0;
  for (const document of documents) {
    ids.set(document, at);
    at += document.length + 1;
    ids[at - 1] = tokenizer.endOfTextId;
  }
  const windows: TrainingRow[] = [];
  for (let start = 0; start + 1 < ids.length; start += length - 1) {
    const tokens = ids.slice(start, start + length);
    // The end of a document is read but not learnt: it is no text, and would cost bits without having bytes.
    const learnt = Uint8Array.from(tokens, (id) => Number(id !== tokenizer.endOfTextId));
    windows.push({ tokens, learnt });
  }
  return windows;
}

function predictedBytes({ tokens, learnt }: TrainingRow, tokenizer: Tokenizer): number {
  const size = (id: number) => tokenizer.tokenBytes(id).length;
  return tokens.reduce((sum, id, i) => (i > 0 && learnt[i] === 1 ? sum + size(id) : sum), 0);
}

/** Losses comparable across tokenizers. */
function inBitsPerByte(measure: Measure, bytes: number): Measure {
  return {
    run: async () => {
      const { lossNats, numTokens } = await measure.run();
      return { lossNats, numTokens, bitsPerByte: bitsPerByte(lossNats * numTokens, bytes) };
    },
    dispose: () => measure.dispose(),
  };
}
