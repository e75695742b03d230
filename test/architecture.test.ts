import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import {
  checkDocs,
  checkImports,
  checkLanguage,
  checkName,
  checkSize,
  countLines,
  findCycles,
  importsOf,
  LAYERS,
  type Source,
} from "./source-rules.ts";

const ROOT = join(import.meta.dirname, "..");
const files = readdirSync(join(ROOT, "src"), { recursive: true, encoding: "utf8" })
  .map((path) => path.replaceAll("\\", "/"))
  .filter((path) => path.endsWith(".ts"))
  .sort();
const everything: Source[] = files.map((path) => ({
  path,
  text: readFileSync(join(ROOT, "src", path), "utf8"),
}));
const sources = everything.filter(({ path }) => !path.endsWith(".test.ts"));
const packageJson = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as {
  readonly dependencies: Readonly<Record<string, string>>;
  readonly exports: Readonly<Record<string, string | Readonly<Record<string, string>>>>;
};

const isDoor = (path: string) => /(^|\/)index\.ts$/.test(path);

/** Exports still without a doc comment. May only fall. */
const MOST_UNDOCUMENTED = 0;

describe("the source keeps the house rules", () => {
  test("imports go down the layers, and packages stay where they belong", () => {
    expect(sources.flatMap(checkImports)).toEqual([]);
  });

  test("no two files need each other's values to load", () => {
    expect(findCycles(sources)).toEqual([]);
  });

  test("packages that are imported are dependencies", () => {
    const names = sources.flatMap(({ text }) => importsOf(text).map(({ specifier }) => specifier));
    const packages = new Set(
      names.filter((name) => !/^(\.|node:)/.test(name)).map((name) => /^(@[^/]+\/)?[^/]+/.exec(name)![0]),
    );
    for (const name of packages) expect(Object.keys(packageJson.dependencies)).toContain(name);
  });

  test("no `any`, enum, default or star export, mutable export, Math.random", () => {
    expect(sources.flatMap(checkLanguage)).toEqual([]);
  });

  test("every export has a doc comment", () => {
    const missing = sources.flatMap(checkDocs);
    expect(missing.length, missing.join("\n")).toBeLessThanOrEqual(MOST_UNDOCUMENTED);
  });

  test("files have names that say something, and fit their budget", () => {
    expect([...everything.flatMap(checkName), ...everything.flatMap(checkSize)]).toEqual([]);
  });

  test("nine files of ten stay within 300 lines", () => {
    const lengths = sources.map(({ text }) => countLines(text)).sort((a, b) => a - b);
    const at = (share: number) => lengths[Math.floor(share * (lengths.length - 1))]!;
    const total = lengths.reduce((a, b) => a + b, 0);
    console.info(
      `src: ${lengths.length} files, ${total} lines; median ${at(0.5)}, p90 ${at(0.9)}, longest ${at(1)}`,
    );
    expect(at(0.9)).toBeLessThanOrEqual(300);
  });
});

describe("the map in ARCHITECTURE.md", () => {
  const page = readFileSync(join(ROOT, "ARCHITECTURE.md"), "utf8");
  const [, block = ""] = /^## Map\n+```\n([\s\S]*?)^```$/m.exec(page) ?? [];
  const mapped = [...block.matchAll(/^(\S+\/) {2,}\S/gm)].map(([, folder]) => folder!);

  test("names every folder there is, and no other", () => {
    expect(mapped.toSorted()).toEqual(foldersOnDisk());
  });

  test("and the layers drawn there are those that are checked", () => {
    const [, drawn = ""] = /^```\n(cli → .*)\n```$/m.exec(page) ?? [];
    const present = new Set(files.map((path) => path.split("/")[0]!));
    const expected = LAYERS.toReversed()
      .map((row) => row.filter((folder) => present.has(folder)).join(", "))
      .filter(Boolean);
    expect(drawn.split(" → ")).toEqual(expected);
  });

  test("mentions no file that is not there", () => {
    const mentioned = [...page.matchAll(/`([a-z][\w/-]*\/[\w-]+\.(?:test\.)?ts)`/g)].map(([, path]) => path!);
    expect(mentioned.length).toBeGreaterThan(20);
    const isThere = (path: string) => [path, `src/${path}`].some((place) => existsSync(join(ROOT, place)));
    expect(mentioned.filter((path) => !isThere(path))).toEqual([]);
  });
});

describe("the package's doors", () => {
  const doors = Object.entries(packageJson.exports).flatMap(([name, target]) =>
    typeof target === "string" ? [] : [[name.replace(".", "plinth"), target] as const],
  );

  test("are the index files, built, and the same for types and code", () => {
    const expected = files.filter(isDoor).map((path) => `./dist/${path.replace(/\.ts$/, "")}`);
    const built = doors.map(([, target]) => target.import!.replace(/\.js$/, ""));
    expect(built.toSorted()).toEqual(expected.toSorted());
    for (const [, target] of doors) {
      const path = target.import!.replace(/\.js$/, "");
      expect(target).toEqual({ types: `${path}.d.ts`, import: `${path}.js`, default: `${path}.js` });
    }
  });

  test("index files only pass names on", () => {
    for (const { path, text } of sources.filter(({ path }) => isDoor(path))) {
      const rest = text
        .replace(/^\/\/.*$/gm, "")
        .replace(/^export (?:type )?\{[^}]*\} from "\.\/[\w/-]+\.ts";$/gm, "");
      expect(rest.trim(), path).toBe("");
    }
  });

  test.each(doors)("%s offers what its source says", async (name, target) => {
    const source = sources.find(({ path }) => `./dist/${path.replace(/\.ts$/, ".js")}` === target.import)!;
    const names = [...source.text.matchAll(/^export \{([^}]*)\}/gm)]
      .flatMap(([, list]) => list!.split(","))
      .map((word) => word.trim())
      .filter((word) => word !== "" && !word.startsWith("type "));
    const offered: object = await import(name);
    expect(Object.keys(offered).sort()).toEqual(names.sort());
  });

  test("importing them loads no native library; making an engine does", () => {
    const program = `
      const loaded = () => {
        process.report.excludeNetwork = true;
        return process.report.getReport().sharedObjects.filter((path) => /koffi|onnxruntime/.test(path)).length;
      };
      const before = ${JSON.stringify(doors.map(([name]) => name))}.map((name) => import(name));
      const [{ Engine }] = await Promise.all(before);
      const atFirst = loaded();
      new Engine();
      console.log(atFirst, loaded());
    `;
    const printed = execFileSync(process.execPath, ["--input-type=module", "-e", program], {
      cwd: ROOT,
      encoding: "utf8",
    });
    expect(printed.trim()).toBe("0 2");
  });
});

describe("the checks bite", () => {
  const at = (path: string, text: string): Source => ({ path, text });

  test.each([
    ["core/a.ts", 'import { Tensor } from "../tensor/tensor.ts";', "core is below tensor"],
    ["tensor/a.ts", 'import type { Engine } from "../engine/engine.ts";', "tensor is below engine"],
    ["nn/a.ts", 'export {\n  x,\n} from "../train/x.ts";', "nn is below train"],
    ["data/a.ts", 'const x = await import("../recipes/x.ts");', "data is below recipes"],
    ["tensor/ops/a.ts", 'import "../../cli/x.ts";', "tensor is below cli"],
    ["train/a.ts", 'import ort from "onnxruntime-node";', "only engine does"],
    ["cli/a.ts", 'const k = require("koffi");', "only engine does"],
    ["nn/a.ts", 'import { readFileSync } from "node:fs";', "has to run anywhere"],
    ["models/a.ts", 'import { globSync } from "tinyglobby";', "depends on no package"],
    ["cli/a.ts", 'import { x } from "../nn/index.ts";', "published door"],
  ])("%s: %s", (path, text, complaint) => {
    expect(checkImports(at(path, text)).join()).toContain(complaint);
  });

  test.each([
    ["train/a.ts", 'import { x } from "../eval/x.ts";'],
    ["tensor/ops/a.ts", 'import { x } from "../tensor.ts";'],
    ["engine/a.ts", 'import k from "koffi";'],
    ["index.ts", 'export { x } from "./cli/x.ts";'],
    ["core/a.ts", '// import { x } from "../cli/x.ts";\nconst text = `import "../cli/x.ts"`;'],
  ])("and let pass what is allowed: %s: %s", (path, text) => {
    expect(checkImports(at(path, text))).toEqual([]);
  });

  test("a ring of values is a cycle, one of types or of calls is not", () => {
    const ring = (statement: (to: string) => string) =>
      findCycles([at("a/x.ts", statement("./y.ts")), at("a/y.ts", statement("./x.ts"))]);
    expect(ring((to) => `import { v } from "${to}";`)).toEqual([["a/x.ts", "a/y.ts", "a/x.ts"]]);
    expect(ring((to) => `import { type T } from "${to}";`)).toHaveLength(1); // still loads the file
    expect(ring((to) => `import type { T } from "${to}";`)).toEqual([]);
    expect(ring((to) => `export const f = () => import("${to}");`)).toEqual([]);
  });

  test.each([
    ["const x = y as any;", "the type any"],
    ["function f(x: any[]) {}", "the type any"],
    ["export enum Color { Red }", "an enum"],
    ["export default class {}", "a default export"],
    ["export * from './x.ts';", "a star export"],
    ["const x = Math.random();", "Math.random"],
    ["export let count = 0;", "a mutable export"],
  ])("language: %s", (text, complaint) => {
    expect(checkLanguage(at("core/a.ts", `/** any */\n${text}`))).toEqual([`core/a.ts:2 has ${complaint}`]);
  });

  test("words in comments, strings, patterns and names of methods are not language", () => {
    const text = `// any enum X {\nconst a = "as any"; AbortSignal.any([]); const b = /Math.random|"/; const c = "x";`;
    expect(checkLanguage(at("core/a.ts", text))).toEqual([]);
  });

  test("doc comments, sizes and names", () => {
    const undocumented =
      '// no doc\nexport function f(): void {}\n/** Yes. */\nexport const x = 1;\nexport type T = "a";';
    expect(checkDocs(at("a/b.ts", undocumented))).toEqual(["a/b.ts:2 f", "a/b.ts:5 T"]);
    expect(checkSize(at("a/b.ts", "x\n".repeat(601)))).toEqual(["a/b.ts has 601 lines, at most 600 fit"]);
    expect(checkSize(at("models/gpt2/model.ts", "x\n".repeat(301)))).toHaveLength(1);
    expect(checkSize(at("a/b.ts", "x\n".repeat(600)))).toEqual([]);
    expect(checkName(at("nn/utils.ts", ""))).toHaveLength(1);
    expect(checkName(at("nn/helpers/x.ts", ""))).toHaveLength(1);
    expect(checkName(at("nn/LayerNorm.ts", ""))).toHaveLength(1);
    expect(checkName(at("nn/layer-norm.test.ts", ""))).toEqual([]);
  });
});

/** Folders worth a line on the map: those of the repository down to the second level, and all below `src`. */
function foldersOnDisk(): string[] {
  const tracked = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard"], {
    cwd: ROOT,
    encoding: "utf8",
  });
  const folders = new Set<string>();
  for (const file of tracked.trim().split("\n")) {
    for (let folder = dirname(file); folder !== "."; folder = dirname(folder)) folders.add(`${folder}/`);
  }
  return [...folders]
    .filter((folder) => !folder.startsWith(".") && !folder.includes("__snapshots__"))
    .filter((folder) => folder.startsWith("src/") || folder.split("/").length <= 3)
    .sort();
}
