import type { ExampleKind } from "./example-kind.ts";
import type { Classification, MultiLabel, Regression, Tokens } from "./examples.ts";
import { describeValue } from "./raw-row.ts";
import type { RowFields } from "./row-fields.ts";

/** `text`, perhaps a `pair`, and the `label` they belong to. */
export const CLASSIFICATION: ExampleKind<Classification> = {
  name: "classification",
  fields: ["text", "pair", "label"],
  read: (fields) => ({ ...readTexts(fields), label: fields.name("label") }),
  identity: identifyTexts,
  stratum: ({ label }) => label,
};

/** `text`, perhaps a `pair`, and the list of `labels` that apply, which may be empty. */
export const MULTI_LABEL: ExampleKind<MultiLabel> = {
  name: "classification by several labels",
  fields: ["text", "pair", "labels"],
  read: (fields) => ({ ...readTexts(fields), labels: readNames(fields, "labels") }),
  identity: identifyTexts,
};

/** `text`, perhaps a `pair`, and the `value` to predict. */
export const REGRESSION: ExampleKind<Regression> = {
  name: "regression",
  fields: ["text", "pair", "value"],
  read: (fields) => ({ ...readTexts(fields), value: fields.number("value") }),
  identity: identifyTexts,
};

/** `tokens` and `tags`, lists of one length. In CSV they are JSON, or words between spaces. */
export const TOKENS: ExampleKind<Tokens> = {
  name: "token classification",
  fields: ["tokens", "tags"],
  read: (fields) => {
    const tokens = readWords(fields, "tokens");
    const tags = readWords(fields, "tags");
    if (tokens.length === 0) fields.fail("tokens", "at least one token", "an empty list");
    if (tokens.length !== tags.length) {
      fields.fail("tags", `${tokens.length} tags, one for each token`, `${tags.length}`);
    }
    return { tokens, tags };
  },
  identity: ({ tokens }) => JSON.stringify(tokens),
};

function readTexts(fields: RowFields): { readonly text: string; readonly pair?: string } {
  const text = fields.text("text");
  return fields.value("pair") === undefined ? { text } : { text, pair: fields.text("pair") };
}

function identifyTexts({ text, pair }: { readonly text: string; readonly pair?: string }): string {
  return JSON.stringify([text, pair]);
}

function readWords(fields: RowFields, field: string): readonly string[] {
  const value = fields.value(field);
  if (typeof value === "string" && !value.trimStart().startsWith("[")) {
    return fields.text(field).trim().split(/\s+/);
  }
  return readNames(fields, field);
}

function readNames(fields: RowFields, field: string): readonly string[] {
  return fields.list(field).map((item, i) => {
    if (typeof item === "string" && item !== "") return fields.wholeCharacters(field, item);
    if (Number.isSafeInteger(item)) return String(item);
    return fields.fail(`${field}[${i}]`, "a text or a whole number", describeValue(item));
  });
}
