import { closeSync, openSync, readSync } from "node:fs";
import { join } from "node:path";

/** The head of a card is far shorter. */
const MAX_BYTES = 65_536;

/** As much of a stranger's words as is shown. */
const MAX_LENGTH = 100;

/**
 * The licence that the head of a model's `README.md` names, e.g. `apache-2.0`; for `other`, its name or link. Control characters, which
 * could redraw a terminal, are left out.
 *
 * @returns undefined if there is no card, or no licence in it
 */
export function readLicence(directory: string): string | undefined {
  const text = readBeginning(join(directory, "README.md"));
  const [, head = ""] = /^\uFEFF?---\r?\n([\s\S]*?)\r?\n---/.exec(text) ?? [];
  const licence = readKey(head, "license");
  if (licence !== "other") return licence;
  return readKey(head, "license_name") ?? readKey(head, "license_link") ?? licence;
}

/** `key: value`, or the first item of a list below the key. */
function readKey(head: string, key: string): string | undefined {
  const match = new RegExp(`^${key}:[ \\t]*(?:\\r?\\n[ \\t]*-[ \\t]+)?([^\\r\\n]*)$`, "m").exec(head);
  const [line = ""] = (match?.[1] ?? "").slice(0, MAX_LENGTH).split(" #", 1);
  const value = line.trim().replace(/^(["'])(.*)\1$/, "$2");
  return value === "" ? undefined : value.replace(/[^\p{L}\p{N}\p{P}\p{S} ]/gu, "");
}

function readBeginning(path: string): string {
  let descriptor: number;
  try {
    descriptor = openSync(path, "r");
  } catch {
    return ""; // a model without a card is a model
  }
  try {
    const bytes = Buffer.alloc(MAX_BYTES);
    return bytes.toString("utf8", 0, readSync(descriptor, bytes, 0, MAX_BYTES, 0));
  } catch {
    return ""; // a directory, for one
  } finally {
    closeSync(descriptor);
  }
}
