import type { ChatTemplate } from "../../codecs/chat-template.ts";
import type { Tokenizer } from "../../codecs/tokenizer.ts";
import { DataError } from "../../core/errors.ts";
import type { Preference, TextOrMessages } from "../../data/rows/examples.ts";
import { chatRow } from "../chat-row.ts";
import { instructionRow } from "../instruction-row.ts";
import { numLearnt, type TrainingRow } from "../training-row.ts";

/** A preference, and by how much the chosen side is the better, for reward models; default 0. */
export interface WeighedPreference extends Preference {
  readonly margin?: number;
}

/** A preference as tokens: each side with the prompt before it. */
export interface PreferenceRows {
  readonly chosen: TrainingRow;
  readonly rejected: TrainingRow;
  readonly margin: number;
}

/** What turns preferences into tokens. */
export interface PreferenceRowOptions {
  readonly tokenizer: Tokenizer;
  /** Needed where preferences are conversations. */
  readonly template?: ChatTemplate | undefined;
  /** Most tokens of a side, prompt included. */
  readonly contextLength: number;
}

/**
 * Preferences as tokens. Of texts, the completion and the end of text are scored; of conversations, the last turn of the
 * assistant.
 *
 * @throws {DataError} naming the pair whose sides are equal, empty or longer than the context, or of which one is a text and the
 *   other a conversation.
 * @example
 * preferenceRows([{ prompt: "Q: 1 + 1?\n", chosen: "2", rejected: "3" }], { tokenizer, contextLength: 64 });
 */
export function preferenceRows(
  preferences: readonly WeighedPreference[],
  options: PreferenceRowOptions,
): PreferenceRows[] {
  return preferences.map((preference, i) => preferenceRow(preference, `preference pair ${i + 1}`, options));
}

/**
 * One preference as tokens.
 *
 * @param where names it in errors
 * @throws as {@link preferenceRows}
 */
export function preferenceRow(
  { prompt, chosen, rejected, margin = 0 }: WeighedPreference,
  where: string,
  options: PreferenceRowOptions,
): PreferenceRows {
  if (JSON.stringify(chosen) === JSON.stringify(rejected)) throw equalSides(where, "the same twice");
  if (!Number.isFinite(margin)) {
    throw new DataError({ where: `${where}, margin`, expected: "a number", got: `${margin}` });
  }
  const rows = {
    chosen: readSide(prompt, chosen, `${where}, chosen`, options),
    rejected: readSide(prompt, rejected, `${where}, rejected`, options),
    margin,
  };
  const isSame = rows.chosen.tokens.join() === rows.rejected.tokens.join();
  if (isSame) throw equalSides(where, "two that are the same tokens");
  return rows;
}

function equalSides(where: string, got: string): DataError {
  return new DataError({
    where,
    expected: "a chosen and a rejected side that differ",
    got,
    fix: "Leave out pairs without a preference.",
  });
}

function readSide(
  prompt: TextOrMessages,
  side: TextOrMessages,
  where: string,
  options: PreferenceRowOptions,
): TrainingRow {
  const row = encodeSide(prompt, side, where, options);
  if (numLearnt(row) === 0) {
    throw new DataError({ where, expected: "tokens to be scored after the prompt", got: "none" });
  }
  const { contextLength } = options;
  if (row.tokens.length <= contextLength) return row;
  throw new DataError({
    where,
    expected: `at most ${contextLength} tokens with the prompt`,
    got: `${row.tokens.length}`,
    fix: "Shorten it, or leave the pair out.",
  });
}

function encodeSide(
  prompt: TextOrMessages,
  side: TextOrMessages,
  where: string,
  { tokenizer, template }: PreferenceRowOptions,
): TrainingRow {
  if (typeof prompt === "string" && typeof side === "string") {
    if (side === "") throw new DataError({ where, expected: "a text", got: "an empty one" });
    return instructionRow(tokenizer, { prompt, completion: side });
  }
  if (typeof prompt === "string" || typeof side === "string") {
    const expected = "prompt and sides that are all texts, or all messages";
    throw new DataError({ where, expected, got: "some of each" });
  }
  if (!template) {
    const fix = "Give the chat template of the model.";
    throw new DataError({ where, expected: "texts, without a chat template", got: "messages", fix });
  }
  return chatRow(tokenizer, template, { messages: [...prompt, ...side] }, { turns: "last" });
}
