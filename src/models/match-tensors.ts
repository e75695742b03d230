import { FormatError } from "../core/errors.ts";
import { nearest } from "../core/nearest.ts";
import type { Parameter } from "../nn/scope.ts";
import type { Family } from "./registry.ts";

/** What loading needs to know of a model of any kind. */
export interface Described {
  readonly parameters: readonly Parameter[];
}

/**
 * The published name of each parameter, by path.
 *
 * @param published the names of all tensors that stand for a whole parameter
 * @throws {FormatError} if a parameter has none or two, or tensors are left over.
 */
export function matchTensors<M extends Described>(
  directory: string,
  model: M,
  family: Family<M>,
  published: readonly string[],
): ReadonlyMap<string, string> {
  const nameOf = new Map<string, string>();
  const names = new Set(published);
  for (const name of published) {
    const path = family.pathOfPublished(name, model, names);
    if (path === undefined) continue;
    const other = nameOf.get(path);
    if (other !== undefined) {
      const got = `"${other}" and "${name}"`;
      throw new FormatError({ where: directory, expected: `one tensor for ${path}`, got });
    }
    nameOf.set(path, name);
  }
  const known = new Set(model.parameters.map(({ path }) => path));
  const missing = [...known].filter((path) => !nameOf.has(path));
  const extra = [...nameOf.keys()].filter((path) => !known.has(path));
  if (missing.length + extra.length > 0) throw disagreement(directory, missing, extra);
  return nameOf;
}

function disagreement(directory: string, missing: string[], extra: string[]): FormatError {
  const list = (names: string[]) => names.slice(0, 5).join(", ") + (names.length > 5 ? ", …" : "");
  const near = missing.length > 0 ? nearest(missing[0]!, extra) : undefined;
  return new FormatError({
    where: directory,
    expected: "exactly the tensors of the architecture",
    got: [
      missing.length > 0 ? `${missing.length} missing (${list(missing)})` : "",
      extra.length > 0 ? `${extra.length} left over (${list(extra)})` : "",
    ]
      .filter(Boolean)
      .join(" and "),
    ...(near && { fix: `Is "${near}" meant to be "${missing[0]}"?` }),
  });
}
