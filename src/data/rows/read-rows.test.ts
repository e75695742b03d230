import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { readUnpacked } from "./file-bytes.ts";
import { readParquetRows } from "./parquet-rows.ts";
import { type RowSource, readRows } from "./read-rows.ts";

const FIXTURES = join(import.meta.dirname, "../../../test/fixtures/rows");
const folder = mkdtempSync(join(tmpdir(), "plinth-rows-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function put(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content);
  return path;
}

async function collect(source: RowSource | string): Promise<{ values: unknown; where: string }[]> {
  const rows = [];
  for await (const row of readRows(typeof source === "string" ? { paths: [source] } : source)) rows.push(row);
  return rows.map(({ values, where }) => ({ values, where: where.replace(`${folder}/`, "") }));
}

describe("JSON", () => {
  test("lines, with blank ones, line separators inside texts, and a byte order mark", async () => {
    const path = put("a.jsonl", '\ufeff{"text": "one\u2028two"}\n\n{"text": "three"}\n');
    expect(await collect(path)).toEqual([
      { values: { text: "one\u2028two" }, where: "a.jsonl:1" },
      { values: { text: "three" }, where: "a.jsonl:3" },
    ]);
  });

  test("lines in gzip, a list, and a list under data", async () => {
    const rows = [{ a: 1 }, { a: 2 }];
    const lines = rows.map((row) => JSON.stringify(row)).join("\n");
    const paths = [
      put("b.jsonl.gz", gzipSync(lines)),
      put("b.json", JSON.stringify(rows)),
      put("c.json.gz", gzipSync(JSON.stringify({ data: rows }))),
    ];
    expect((await collect({ paths })).map(({ values }) => values)).toEqual([...rows, ...rows, ...rows]);
  });

  test("the layout of SQuAD becomes a row a question", async () => {
    const answers = [{ text: "B", answer_start: 2 }];
    const qas = [{ id: "1", question: "which?", answers }];
    const path = put(
      "squad.json",
      JSON.stringify({ data: [{ title: "T", paragraphs: [{ context: "A B", qas }] }] }),
    );
    expect(await collect(path)).toEqual([
      {
        values: { title: "T", context: "A B", id: "1", question: "which?", answers },
        where: "squad.json row 1",
      },
    ]);
  });

  test("a field that holds a list gives a row for each of its objects", async () => {
    const path = put("pages.jsonl", '{"name": "ls", "examples": [{"task": "a"}, {"task": "b"}]}');
    expect(await collect({ paths: [path], each: "examples" })).toEqual([
      { values: { name: "ls", task: "a" }, where: "pages.jsonl:1 examples[0]" },
      { values: { name: "ls", task: "b" }, where: "pages.jsonl:1 examples[1]" },
    ]);
    await expect(collect({ paths: [path], each: "name" })).rejects.toThrow(
      'pages.jsonl:1 name: expected a list of objects, got "ls".',
    );
  });

  test("what is broken is named by its line", async () => {
    await expect(collect(put("d.jsonl", '{"a": 1}\n{"a": '))).rejects.toThrow(
      /d\.jsonl:2: expected a JSON object in UTF-8, got .+\./,
    );
    await expect(collect(put("e.jsonl", '{"a": 1}\n[1]'))).rejects.toThrow(
      "e.jsonl:2: expected an object with named fields, got a list of 1.",
    );
    await expect(collect(put("f.jsonl", new Uint8Array([0x7b, 0xff])))).rejects.toThrow(/f\.jsonl:1.*UTF-8/);
    await expect(collect(put("g.json", '[{"a": 1}, {"a"'))).rejects.toThrow(
      /g\.json: expected a list of objects/,
    );
    await expect(collect(put("h.json", '{"a": 1}'))).rejects.toThrow(/h\.json.*named \.jsonl/);
    await expect(collect(put("deep.json", "[".repeat(100_000)))).rejects.toThrow(/deep\.json/);
  });
});

describe("CSV", () => {
  test("quotes hold delimiters, line ends and quotes; lines are counted; a byte order mark is dropped", async () => {
    const path = put("a.csv", '\ufefftext,label\r\n"a, ""b""\r\nc",x\r\n\r\nplain,y\r\n');
    expect(await collect(path)).toEqual([
      { values: { text: 'a, "b"\r\nc', label: "x" }, where: "a.csv:2" },
      { values: { text: "plain", label: "y" }, where: "a.csv:5" },
    ]);
  });

  test("tabs, in gzip", async () => {
    const path = put("a.tsv.gz", gzipSync("text\tlabel\na,b\t1\n"));
    expect(await collect(path)).toEqual([{ values: { text: "a,b", label: "1" }, where: "a.tsv.gz:2" }]);
  });

  test("what is broken is named by its line", async () => {
    await expect(collect(put("ragged.csv", "a,b\n1,2\n3\n"))).rejects.toThrow(
      "ragged.csv:3: expected 2 fields, as in the header, got 1.",
    );
    await expect(collect(put("open.csv", 'a,b\n1,"2\n3,4\n'))).rejects.toThrow(/open\.csv:\d.*quote/i);
    await expect(collect(put("inner.csv", 'a,b\n1,2"3\n'))).rejects.toThrow(/inner\.csv:2/);
    await expect(collect(put("twice.csv", "a,a\n1,2\n"))).rejects.toThrow("twice.csv:1: expected a header");
  });

  test("what is written comes back, whatever characters it has", async () => {
    const character = fc.constantFrom('"', ",", "\n", "\r", "a", " ", "é", "🙂");
    const field = fc.array(character, { minLength: 1, maxLength: 6 }).map((list) => list.join(""));
    const table = fc.array(fc.tuple(field, field), { minLength: 1, maxLength: 5 });
    const quote = (text: string) => `"${text.replaceAll('"', '""')}"`;
    await fc.assert(
      fc.asyncProperty(table, async (rows) => {
        const csv = [["x", "y"], ...rows].map((row) => row.map(quote).join(",")).join("\n");
        const values = (await collect(put("random.csv", csv))).map((row) =>
          Object.values(row.values as object),
        );
        expect(values).toEqual(rows);
      }),
      { numRuns: 60, seed: 1 },
    );
  });
});

describe("text", () => {
  test("folders are labels", async () => {
    put("mail/ham/1.txt", "hello");
    put("mail/spam/1.txt", "buy");
    put("mail/readme.md", "about");
    expect((await collect(join(folder, "mail"))).map(({ values }) => values)).toEqual([
      { text: "hello", label: "ham" },
      { text: "buy", label: "spam" },
    ]);
  });

  test("lines of commands", async () => {
    const path = put("scan.txt", "IN: jump OUT: I_JUMP\nIN: run twice OUT: I_RUN I_RUN\n");
    expect(await collect(path)).toEqual([
      { values: { prompt: "jump", completion: "I_JUMP" }, where: "scan.txt:1" },
      { values: { prompt: "run twice", completion: "I_RUN I_RUN" }, where: "scan.txt:2" },
    ]);
    await expect(collect(put("bad.txt", "IN: a OUT: b\nwhat\n"))).rejects.toThrow(
      'bad.txt:2: expected "IN: … OUT: …", as on the first line, got "what".',
    );
  });
});

describe("Parquet", () => {
  const fixture = (name: string) => join(FIXTURES, `${name}.parquet`);
  const valuesOf = async (name: string) => (await collect(fixture(name))).map(({ values }) => values);

  test("groups of rows in Snappy, 64-bit numbers, nulls", async () => {
    expect(await valuesOf("flat")).toEqual([
      { text: "good", label: 3, score: 0.5 },
      { text: "bad — 悪い", label: 1, score: -1.25 },
      { text: "fine 🙂", label: 3, score: null },
      { text: "so so", label: 0, score: 2 },
    ]);
    expect((await collect(fixture("flat"))).at(-1)!.where).toMatch(/flat\.parquet row 4$/);
  });

  test("lists and structures in Zstandard, times in gzip", async () => {
    expect((await valuesOf("lists"))[1]).toEqual({
      tokens: ["no"],
      tags: ["O"],
      messages: [
        { role: "user", content: "bye" },
        { role: "assistant", content: "see you" },
      ],
    });
    expect(await valuesOf("dates")).toEqual([{ text: "x", when: "2020-01-02T03:04:05.000Z" }]);
  });

  test("a file that is cut short, altered, or no Parquet at all", async () => {
    const bytes = readFileSync(fixture("flat"));
    await expect(collect(put("cut.parquet", bytes.subarray(0, 300)))).rejects.toThrow(
      'cut.parquet: expected a Parquet file ("PAR1" at both ends), got a file that is cut short.',
    );
    await expect(collect(put("text.parquet", "a,b\n1,2\n".repeat(4)))).rejects.toThrow(
      "got another kind of file",
    );
    const altered = Buffer.from(bytes);
    altered.fill(0xff, 4, 200);
    await expect(collect(put("altered.parquet", altered))).rejects.toThrow(/expected a whole Parquet file/);
    const claim = Buffer.from(bytes);
    claim.writeUInt32LE(0x7fffffff, claim.length - 8);
    await expect(collect(put("claim.parquet", claim))).rejects.toThrow(/claim\.parquet.*2147483647/);
  });

  test("a few bytes that hold more values than there is room for end their own process, not this one", async () => {
    const rows = readParquetRows(fixture("many"), { heapMiB: 64, seconds: 60 });
    await expect(rows.next()).rejects.toThrow("got values that take more than 64 MiB of memory.");
  });

  test("decoding that takes too long is ended", async () => {
    const rows = readParquetRows(fixture("many"), { heapMiB: 1024, seconds: 0.01 });
    await expect(rows.next()).rejects.toThrow("takes more than 0.01 seconds");
  });
});

describe("files", () => {
  test("empty ones are refused, whatever their kind", async () => {
    for (const name of ["empty.jsonl", "empty.csv", "empty.json.gz"]) {
      const content = name.endsWith(".gz") ? gzipSync("[]") : "";
      await expect(collect(put(name, content))).rejects.toThrow(
        `${name}: expected at least one row, got an empty`,
      );
    }
    await expect(collect(put("header.csv", "a,b\n"))).rejects.toThrow(
      "header.csv: expected at least one row",
    );
  });

  test("an unknown ending and a missing file are refused", async () => {
    await expect(collect(put("a.xlsx", "x"))).rejects.toThrow(
      /a\.xlsx: expected a name that ends in .*got "\.xlsx"/,
    );
    await expect(collect(join(folder, "none.csv"))).rejects.toThrow("no such file or folder");
  });

  test("gzip that is cut short, is none, or unpacks to too much", async () => {
    const packed = gzipSync('{"a": 1}\n'.repeat(1000));
    await expect(collect(put("cut.jsonl.gz", packed.subarray(0, 40)))).rejects.toThrow(
      /cut\.jsonl\.gz: expected a whole gzip file/,
    );
    await expect(collect(put("no.jsonl.gz", "plain"))).rejects.toThrow(/expected a whole gzip file/);
    const bomb = put("bomb.jsonl.gz", gzipSync(new Uint8Array(4 << 20)));
    expect(() => [...readUnpacked(bomb, 1 << 20)]).toThrow(/expected at most 1 MiB, got more when unpacked/);
  });

  test("a name that begins with a dash is a file, not an option", () => {
    // The decoder's process gets the path as an argument.
    put("dash/-x.parquet", readFileSync(join(FIXTURES, "flat.parquet")));
    const code = `import { readParquetRows } from ${JSON.stringify(join(import.meta.dirname, "../../../dist/data/rows/parquet-rows.js"))};
      for await (const row of readParquetRows("-x.parquet")) console.log(row.values.label);`;
    const printed = execFileSync(process.execPath, ["--input-type=module", "-e", code], {
      cwd: join(folder, "dash"),
      encoding: "utf8",
    });
    expect(printed).toBe("3\n1\n3\n0\n");
  });
});
