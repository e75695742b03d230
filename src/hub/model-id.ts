import { ConfigError } from "../core/errors.ts";

/** A model on the Hugging Face Hub: `owner/name`, and a branch, tag or commit after an `@`. */
export interface ModelId {
  readonly id: string;
  readonly revision: string | undefined;
}

const PART = "[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?";
const MODEL_ID = new RegExp(`^(${PART}/${PART})(?:@(.+))?$`);
const REVISION = /^[A-Za-z0-9_][A-Za-z0-9_.-]*(?:\/[A-Za-z0-9_][A-Za-z0-9_.-]*)*$/;

/**
 * Reads `owner/name[@revision]`; undefined if the words are not of that form. Names are used as parts of paths,
 * so only what the Hub itself allows passes.
 *
 * @throws {ConfigError} if the revision cannot be one.
 * @example
 * parseModelId("openai-community/gpt2@main"); // => { id: "openai-community/gpt2", revision: "main" }
 */
export function parseModelId(spec: string): ModelId | undefined {
  const [, id, revision] = MODEL_ID.exec(spec) ?? [];
  if (id === undefined || id.includes("..") || id.includes("--") || id.length > 200) return undefined;
  if (revision !== undefined) checkRevision(revision);
  return { id, revision };
}

/** @throws {ConfigError} if it cannot be a branch, a tag or a commit. */
export function checkRevision(revision: string): void {
  if (REVISION.test(revision) && !revision.includes("..") && revision.length <= 200) return;
  throw new ConfigError({
    where: "revision",
    expected: "a branch, a tag or a commit",
    got: JSON.stringify(revision),
  });
}
