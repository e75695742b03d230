// The house rules that a machine can hold, as functions from source text to complaints. `architecture.test.ts` applies
// them to the tree, and to bad snippets, to see that they bite.

import { posix } from "node:path";

/** A source file, by its path below `src/`. */
export interface Source {
  readonly path: string;
  readonly text: string;
}

/** One import or re-export. */
export interface Import {
  readonly specifier: string;
  /** `import type` or `export type`: gone when the program runs. */
  readonly typeOnly: boolean;
  /** `import("…")`: loaded when reached, so no part of a load cycle. */
  readonly dynamic: boolean;
}

/** Folders below `src/`, lowest first. Those in one row may import each other; imports go down otherwise. */
export const LAYERS: readonly (readonly string[])[] = [
  ["core"],
  ["tensor"],
  ["engine"],
  ["nn"],
  ["codecs", "data", "hub"],
  ["models"],
  ["eval", "adapt", "train", "generate"],
  ["serve", "recipes", "pipelines", "plan"],
  ["cli"],
];

/** Layers that must run anywhere: no package, and nothing of Node's. */
const PORTABLE = new Set(["core", "tensor", "nn"]);

/** Layers without npm packages. */
const SELF_CONTAINED = new Set([...PORTABLE, "models"]);

const RUNTIME_PACKAGES = new Set(["koffi", "onnxruntime-node", "onnxruntime-web", "onnxruntime-common"]);

/**
 * The text with comments and the insides of strings blanked, every other character in its place: what is left can be
 * searched for words without finding them in prose.
 */
export function blank(text: string): string {
  // Alternatives in order: comments, strings, regular expressions (only where an operand can begin), one character.
  const token =
    /\/\/[^\n]*|\/\*[\s\S]*?\*\/|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\[\s\S]|[^`\\])*`|(?<=[(,=:[!&|?{};\n]\s*|return\s)\/(?![*/])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\[\n])+\/[a-z]*|[\s\S]/g;
  return text.replace(token, (piece) => {
    if (piece.length === 1) return piece;
    const inner = piece.slice(1, -1).replace(/[^\n]/g, " ");
    return `"'\``.includes(piece[0]!) ? piece[0] + inner + piece[0] : ` ${inner} `;
  });
}

/** Everything a file imports or passes on, `import type` included. */
export function importsOf(text: string): Import[] {
  const bare = blank(text);
  const found: Import[] = [];
  const statement = /^(?:import|export)\s+(type\s+)?(?:[\w*{][^;"']*?\sfrom\s*)?(["'])( *)\2/gm;
  const call = /\b(?:import|require)\(\s*(["'])( *)\1/g;
  for (const match of bare.matchAll(statement)) {
    const end = match.index + match[0].length - 1;
    const specifier = text.slice(end - match[3]!.length, end);
    found.push({ specifier, typeOnly: match[1] !== undefined, dynamic: false });
  }
  for (const match of bare.matchAll(call)) {
    const end = match.index + match[0].length - 1;
    const isType = /[:<]\s*typeof\s+$/.test(bare.slice(0, match.index));
    found.push({ specifier: text.slice(end - match[2]!.length, end), typeOnly: isType, dynamic: true });
  }
  return found;
}

/** Complaints about imports that go up, reach past a layer's means, or go through a published door. */
export function checkImports({ path, text }: Source): string[] {
  return importsOf(text).flatMap(({ specifier, typeOnly }) => {
    const from = folderOf(path);
    if (!specifier.startsWith(".")) return checkPackage(path, from, specifier, typeOnly);
    const target = resolveImport(path, specifier);
    const to = folderOf(target);
    if (posix.basename(target) === "index.ts") return [`${path} imports the published door ${target}`];
    if (from === "" || from === to || rankOf(to) <= rankOf(from)) return [];
    return [`${path} imports ${target}: ${from} is below ${to}`];
  });
}

function checkPackage(path: string, from: string, specifier: string, typeOnly: boolean): string[] {
  if (specifier.startsWith("node:")) {
    return PORTABLE.has(from) ? [`${path} imports ${specifier}: ${from} has to run anywhere`] : [];
  }
  const name = specifier
    .split("/")
    .slice(0, specifier.startsWith("@") ? 2 : 1)
    .join("/");
  if (RUNTIME_PACKAGES.has(name))
    return from === "engine" ? [] : [`${path} imports ${name}: only engine does`];
  return SELF_CONTAINED.has(from) && !typeOnly
    ? [`${path} imports ${name}: ${from} depends on no package`]
    : [];
}

/** The files of each cycle of imports that are there when the program runs; empty if there are none. */
export function findCycles(sources: readonly Source[]): string[][] {
  const targets = new Map(
    sources.map(({ path, text }) => [
      path,
      importsOf(text)
        .filter(({ specifier, typeOnly, dynamic }) => specifier.startsWith(".") && !typeOnly && !dynamic)
        .map(({ specifier }) => resolveImport(path, specifier)),
    ]),
  );
  const cycles: string[][] = [];
  const done = new Set<string>();
  const visit = (path: string, trail: readonly string[]): void => {
    if (trail.includes(path)) cycles.push([...trail.slice(trail.indexOf(path)), path]);
    if (done.has(path) || trail.includes(path)) return;
    for (const target of targets.get(path) ?? []) visit(target, [...trail, path]);
    done.add(path);
  };
  for (const path of targets.keys()) visit(path, []);
  return cycles;
}

const BANNED: readonly (readonly [pattern: RegExp, what: string])[] = [
  [/(?<![.\w])any\b(?!\s*[:(])/, "the type any"],
  [/\benum\s+\w+\s*\{/, "an enum"],
  [/\bexport\s+default\b/, "a default export"],
  [/\bMath\s*\.\s*random\b/, "Math.random"],
  [/\bexport\s*\*/, "a star export"],
  [/^export\s+(?:let|var)\b/m, "a mutable export"],
];

/** Complaints about language that the house does without. */
export function checkLanguage({ path, text }: Source): string[] {
  const bare = blank(text);
  return BANNED.flatMap(([pattern, what]) => {
    const match = pattern.exec(bare);
    return match ? [`${path}:${lineOf(text, match.index)} has ${what}`] : [];
  });
}

/** Interfaces whose names say what they are, so that only their members need words. */
const SELF_EXPLAINING = /(Options|Attributes)$/;

/** Complaints about exports without a doc comment right above them. */
export function checkDocs({ path, text }: Source): string[] {
  const declaration =
    /^export\s+(?:abstract\s+|async\s+|declare\s+)*(?:class|function\*?|interface|type|const)\s+(\w+)/gm;
  const seen = new Set<string>();
  return [...blank(text).matchAll(declaration)].flatMap(({ 1: name, index }) => {
    // One comment serves all overloads of a function.
    if (seen.has(name!) || SELF_EXPLAINING.test(name!)) return [];
    seen.add(name!);
    return text.slice(0, index).trimEnd().endsWith("*/") ? [] : [`${path}:${lineOf(text, index)} ${name}`];
  });
}

/** Complaints about files that are too long: 600 lines anywhere, 300 for a model. */
export function checkSize({ path, text }: Source): string[] {
  const limit = /^models\/.*\/model\.ts$/.test(path) ? 300 : 600;
  const lines = countLines(text);
  return lines > limit ? [`${path} has ${lines} lines, at most ${limit} fit`] : [];
}

/** Complaints about names that say nothing, or are not kebab-case. */
export function checkName({ path }: Source): string[] {
  const vague = /(^|\/)(utils?|helpers?|misc|common|lib)(\.ts|\/)/.test(path);
  const kebab = /^([a-z0-9]+(-[a-z0-9]+)*\/)*[a-z0-9]+(-[a-z0-9]+)*(\.test)?\.ts$/.test(path);
  return vague || !kebab ? [`${path} is not a name that says what is inside, in kebab-case`] : [];
}

export function countLines(text: string): number {
  return text.split("\n").length - (text.endsWith("\n") ? 1 : 0);
}

function folderOf(path: string): string {
  return path.includes("/") ? path.slice(0, path.indexOf("/")) : "";
}

function rankOf(folder: string): number {
  const rank = LAYERS.findIndex((row) => row.includes(folder));
  return rank < 0 ? LAYERS.length : rank;
}

function resolveImport(path: string, specifier: string): string {
  return posix.normalize(posix.join(posix.dirname(path), specifier));
}

function lineOf(text: string, index: number): number {
  return text.slice(0, index).split("\n").length;
}
