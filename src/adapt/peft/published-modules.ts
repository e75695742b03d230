import type { CausalLM, Encoder } from "../../models/contracts.ts";
import { type Family, familyOfModel } from "../../models/registry.ts";

/** PEFT wraps a model twice, and its names say so. */
const WRAPPING = "base_model.model.";

/** Names of tensors in an adapter file, and of modules in its configuration, for one base. */
export interface PublishedNames {
  /** The published name of a module of the base. */
  ofModule(name: string): string;
  /** The published name of a parameter of the base. */
  ofParameter(path: string): string;
  /** The name in an adapter file of a parameter: the base's, or `suffix` below a module of it. */
  inFile(path: string, suffix?: string): string;
  /** What a name in an adapter file stands for; `undefined` if it is none of the base's. */
  pathOf(nameInFile: string, suffixes: readonly string[]): string | undefined;
}

/** How the reference implementation names the modules of a model. */
export function publishedNames(base: CausalLM | Encoder, where: string): PublishedNames {
  return namesBy(familyOfModel(base, where), base);
}

function namesBy<M extends CausalLM | Encoder>(family: Family<M>, base: M): PublishedNames {
  const published = (path: string) => family.publishedNames(path, base)[0]!;
  const known = new Set(base.parameters.map(({ path }) => path));
  const ofModule = (name: string) => withoutEnd(published(`${name}.weight`), ".weight");
  const pathOfPublished = (name: string) => family.pathOfPublished(name, base, new Set());
  return {
    ofModule,
    ofParameter: published,
    inFile: (path, suffix) =>
      suffix === undefined
        ? `${WRAPPING}${published(path)}`
        : `${WRAPPING}${ofModule(withoutEnd(path, `.${suffix}`))}.${suffix}`,
    pathOf: (name, suffixes) => {
      if (!name.startsWith(WRAPPING)) return undefined;
      const inner = name.slice(WRAPPING.length);
      const suffix = suffixes.find((end) => inner.endsWith(`.${end}`));
      if (suffix === undefined) {
        const path = pathOfPublished(inner);
        return path !== undefined && known.has(path) ? path : undefined;
      }
      const weight = pathOfPublished(`${withoutEnd(inner, `.${suffix}`)}.weight`);
      return weight !== undefined && known.has(weight)
        ? `${withoutEnd(weight, ".weight")}.${suffix}`
        : undefined;
    },
  };
}

function withoutEnd(text: string, end: string): string {
  return text.slice(0, text.length - end.length);
}
