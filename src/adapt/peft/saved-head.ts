import { FormatError } from "../../core/errors.ts";
import { describeJson, isJsonObject, type JsonValue, parseStrictJson } from "../../hub/strict-json.ts";
import type { CausalLM, ClassificationProblem, Encoder, TaskHead } from "../../models/contracts.ts";
import { DecoderClassifier } from "../../models/decoder-classifier.ts";
import { encoderFamilyOf } from "../../models/registry.ts";

/** Where the weight file says which head its adapter was trained with: PEFT leaves that to whoever loads the base. */
export const HEAD_KEY = "plinth_head";

const PROBLEMS: readonly string[] = [
  "regression",
  "single-label",
  "multi-label",
] satisfies ClassificationProblem[];

/** A head, and for a decoder what its batches are padded with. */
export type SavedHead = TaskHead & { readonly padId?: number };

/** The head of a model that sorts or answers; `undefined` where it has none. */
export function headOf(model: CausalLM | Encoder): SavedHead | undefined {
  if (model instanceof DecoderClassifier) {
    const { labels, problem, padId } = model;
    return { kind: "sequence", labels, problem, ...(padId !== undefined && { padId }) };
  }
  if (!("heads" in model)) return undefined;
  const { sequenceClassifier, tokenClassifier, answerLogits } = model.heads;
  if (sequenceClassifier) {
    const { labels, problem } = sequenceClassifier;
    return { kind: "sequence", labels, problem };
  }
  if (tokenClassifier) return { kind: "tokens", labels: tokenClassifier.labels };
  return answerLogits && { kind: "answers" };
}

/**
 * The base with the head that an adapter file says it was trained with, in place of those it has; itself where it says nothing, or
 * that head is there.
 *
 * @throws {FormatError} if what it says is malformed.
 * @throws {ConfigError} if the base is a decoder, and the head is none for whole texts.
 */
export function withSavedHead<M extends CausalLM | Encoder>(
  base: M,
  text: string | undefined,
  where: string,
): M {
  if (text === undefined) return base;
  const head = readHead(parseStrictJson(text, `${where}, ${HEAD_KEY}`, 3), `${where}, ${HEAD_KEY}`);
  if (JSON.stringify(headOf(base)) === JSON.stringify(head)) return base;
  if ("heads" in base || head.kind !== "sequence") {
    return encoderFamilyOf(base.family, where).withHead(base as Encoder, head) as M;
  }
  const body = base instanceof DecoderClassifier ? base.body : (base as CausalLM);
  return new DecoderClassifier(body, { padId: undefined, ...head }) as CausalLM as M;
}

function readHead(json: JsonValue, where: string): SavedHead {
  const { kind, labels, problem, padId } = isJsonObject(json) ? json : {};
  if (kind === "answers") return { kind };
  const isList =
    Array.isArray(labels) && labels.length > 0 && labels.every((item) => typeof item === "string");
  if (isList && kind === "tokens") return { kind, labels };
  if (isList && kind === "sequence" && typeof problem === "string" && PROBLEMS.includes(problem)) {
    const pad = Number.isSafeInteger(padId) ? { padId: padId as number } : {};
    return { kind, labels, problem: problem as ClassificationProblem, ...pad };
  }
  const expected = "a head with its labels, and what their scores mean";
  throw new FormatError({ where, expected, got: describeJson(json) });
}
