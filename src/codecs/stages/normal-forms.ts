import { NEW_TO_NORMAL_FORMS } from "../unicode-classes.ts";
import { type AlignedText, TextEdit } from "./aligned-text.ts";

/** A Unicode normal form (UAX #15). */
export type NormalForm = "NFC" | "NFD" | "NFKC" | "NFKD";

/**
 * Normalizes as the Unicode version of the Hugging Face library does: characters that are newer than its tables stay
 * as they are, and nothing is reordered or composed across them.
 */
export function normalForm(source: AlignedText, form: NormalForm): AlignedText {
  const { text } = source;
  if (isAscii(text)) return source;
  const edit = new TextEdit(source);
  let isSame = true;
  let start = 0;
  for (let at = 0; at < text.length; ) {
    const point = text.codePointAt(at)!;
    const size = point > 0xffff ? 2 : 1;
    if (NEW_TO_NORMAL_FORMS.has(point)) {
      isSame = normalizePart(text, start, at, form, edit) && isSame;
      edit.keepTo(at + size);
      start = at + size;
    }
    at += size;
  }
  isSame = normalizePart(text, start, text.length, form, edit) && isSame;
  return isSame ? source : edit.finish();
}

/** True if nothing changes; then nothing has been written. */
function normalizePart(text: string, start: number, end: number, form: NormalForm, edit: TextEdit): boolean {
  const part = text.slice(start, end);
  const normalized = part.normalize(form);
  if (normalized === part) return true;
  edit.keepTo(start);
  const decomposed = form.startsWith("NFK") ? "NFKD" : "NFD";
  const pool = new ChangePool(part, decomposed);
  for (const char of normalized) {
    // A composed character takes its parts out of the pool; each part but the first is one character fewer.
    const parts = form.endsWith("C") ? [...char.normalize("NFD")] : [char];
    const change = parts.reduce((sum, one) => sum + pool.take(one), 1 - parts.length);
    if (change > 0) edit.insert(char);
    else {
      edit.replaceNext(char);
      edit.skip(-change);
    }
  }
  return false;
}

/**
 * For each character of a decomposed text, 0 if it begins a decomposition and 1 if it was added by one. Reordering
 * keeps equal characters in order, so they can be taken out by character.
 */
class ChangePool {
  readonly #changes = new Map<string, number[]>();
  readonly #taken = new Map<string, number>();

  constructor(text: string, form: "NFD" | "NFKD") {
    for (const char of text) {
      for (const [i, part] of [...char.normalize(form)].entries()) {
        const change = i === 0 ? 0 : 1;
        const known = this.#changes.get(part);
        if (known) known.push(change);
        else this.#changes.set(part, [change]);
      }
    }
  }

  take(char: string): number {
    const index = this.#taken.get(char) ?? 0;
    this.#taken.set(char, index + 1);
    return this.#changes.get(char)?.[index] ?? 0;
  }
}

/** Whether all characters are below U+0080. */
export function isAscii(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 0x7f) return false;
  return true;
}
