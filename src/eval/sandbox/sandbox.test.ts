import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { type ProgramOutcome, Sandbox } from "./sandbox.ts";

const sandbox = new Sandbox({ timeoutMs: 6000, memoryBytes: 128 * 2 ** 20, outputBytes: 10_000 });
const hasty = new Sandbox({ timeoutMs: 500 });

afterAll(async () => {
  await sandbox.dispose();
  await hasty.dispose();
});

const run = (source: string, language: "javascript" | "typescript" = "javascript"): Promise<ProgramOutcome> =>
  sandbox.run({ source, language });

/** Processes below this one, by what the kernel says. */
function childrenOf(pid: number): string[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").split(" ").filter(Boolean);
}

describe.concurrent("programs that behave", () => {
  test.each([
    [
      "a script",
      "const f = (x) => x + 1; const assert = require('assert'); assert.deepEqual([f(1)], [2]); console.log('ok', {a: 1})",
    ],
    [
      "a module",
      "import * as assert from 'assert'; import { strictEqual } from 'node:assert'; strictEqual(1, 1); assert.ok(true); await 1; console.log('ok', {a: 1})",
    ],
    ["timers", "setTimeout(() => console.log('ok', {a: 1}), 20)"],
    ["promises", "Promise.resolve().then(() => console.log('ok', {a: 1}))"],
    [
      "changed prototypes",
      "JSON.stringify = () => 'x'; String.prototype.startsWith = null; Object.prototype.toJSON = () => 0; console.log('ok', {a: 1}); Array.prototype.push = null",
    ],
  ])("%s passes", async (_, source) => {
    const outcome = await run(source);
    expect(outcome).toMatchObject({ status: "passed", detail: "" });
    expect(outcome.output).toMatch(/^ok \{ a: 1/);
  });

  test("TypeScript runs, with what is more than types, and unused imports are none", async () => {
    const source = `import * as math from 'mathjs';
      import * as assert from 'assert';
      enum Color { Red, Green }
      class Point { constructor(readonly x: number, private y: number = 2) {} sum(): number { return this.x + this.y; } }
      const pick = function <T>(list: Array<T>, i: number): T { return list[i]!; };
      assert.deepEqual([pick([1, 2], 1), Color.Green, new Point(1).sum()], [2, 1, 3]);`;
    expect(await run(source, "typescript")).toMatchObject({ status: "passed" });
  });
});

describe.concurrent("programs that fail", () => {
  test.each([
    [
      "an assertion",
      "require('assert').strictEqual(1, 2, 'one is two')",
      "failed",
      "AssertionError: one is two",
    ],
    ["a bare assertion", "const assert = require('assert'); assert(false)", "failed", "AssertionError: "],
    [
      "an exception later",
      "setTimeout(() => { throw new TypeError('late') }, 5)",
      "failed",
      "TypeError: late",
    ],
    ["a rejection", "Promise.reject(new Error('no'))", "failed", "Error: no"],
    ["something else thrown", "throw { toString() { throw 1 } }", "failed", "toString"],
    ["bad syntax", "const const = 1", "invalid", "SyntaxError"],
    ["a return that would skip the test", "return; require('assert').ok(false)", "invalid", "Illegal return"],
    ["deep recursion", "(function f() { f(); f(); })()", "failed", "Maximum call stack"],
    ["waiting for nothing", "export {}; await new Promise(() => {})", "failed", "waits for what never comes"],
    ["a claim to have passed", "console.log(JSON.stringify({status: 'passed'})); throw 1", "failed", "1"],
  ])("%s", async (_, source, status, detail) => {
    const outcome = await run(source);
    expect(outcome.status).toBe(status);
    expect(outcome.detail).toContain(detail);
  });

  test("bad TypeScript, and text made to break its reader, are invalid; the next program is read again", async () => {
    expect(await run("const x: = 5", "typescript")).toMatchObject({ status: "invalid" });
    expect(await run("[".repeat(3000) + "]".repeat(3000), "typescript")).toMatchObject({ status: "invalid" });
    for (const source of ["const x: number = 5", "let y: string", "type Z = 1"]) {
      expect(await run(source, "typescript")).toMatchObject({ status: "passed" });
    }
  });
});

describe.concurrent("programs that mean harm are contained and reported", () => {
  test.each([
    ["a loop", "for (;;);"],
    ["a loop of promises", "(function f() { Promise.resolve().then(f) })()"],
    ["a timer without end", "setInterval(() => {}, 1)"],
    ["a blocked thread", "Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)"],
    ["a slow regular expression", "/^(a+)+$/.test('a'.repeat(60) + 'b')"],
  ])("%s: timeout", async (_, source) => {
    const outcome = await hasty.run({ source, language: "javascript" });
    expect(outcome).toMatchObject({ status: "timeout", detail: "over 500 ms" });
    expect(outcome.durationMs).toBeLessThan(5000);
  });

  test.each([
    ["objects", "const a = []; for (;;) a.push(new Array(1000).fill({}).map(() => ({})))"],
    ["strings", "const a = []; for (;;) a.push('x'.repeat(1e6 + a.length).split(''))"],
    ["buffers", "const a = []; for (;;) a.push(Buffer.alloc(1 << 22, 1))"],
    ["one huge buffer", "new ArrayBuffer(2 ** 33)"],
  ])("memory taken by %s: memory", async (_, source) => {
    expect(await run(source)).toMatchObject({ status: "memory" });
  });

  test("a flood of output: output, of which the beginning is kept", async () => {
    const outcome = await run("for (;;) console.log('x'.repeat(999))");
    expect(outcome.status).toBe("output");
    expect(outcome.output).toMatch(/^x{999}\n/);
    expect(outcome.output.length).toBeLessThanOrEqual(10_000);
    expect(await run("for (;;) console.error('y')")).toMatchObject({ status: "output" });
  });

  test.each([
    ["child processes", "require('child_process').execSync('id')", "'child_process'"],
    ["a fork", "require('node:cluster').fork()", "'node:cluster'"],
    ["worker threads", "new (require('worker_threads').Worker)('1', { eval: true })", "'worker_threads'"],
    ["reading a file", "console.log(require('fs').readFileSync('/etc/passwd', 'utf8'))", "'fs'"],
    ["reading a file, as a module", "import { readFileSync } from 'fs'; readFileSync('/etc/passwd')", "'fs'"],
    ["the network", "require('net').connect(80, '127.0.0.1')", "'net'"],
    ["the web", "await fetch('http://127.0.0.1'); export {}", "the global fetch"],
    ["process.exit", "process.exit(0)", "the global process"],
    ["its parent", "process.kill(process.ppid, 'SIGKILL')", "the global process"],
    ["loading modules otherwise", "require('module').createRequire('/')('fs')", "'module'"],
    ["another context", "require('vm').runInNewContext('1')", "'vm'"],
  ])("%s: forbidden", async (_, source, what) => {
    const outcome = await run(source);
    expect(outcome).toMatchObject({ status: "forbidden", output: "" });
    expect(outcome.detail).toContain(what);
  });

  /** Ways to the process or to modules around what was taken away; each prints ESCAPED if it works. */
  test.each([
    "console.log(Function('return typeof process')() === 'object' ? 'ESCAPED' : 0)",
    "console.log(require('assert').constructor('return typeof process')() === 'object' ? 'ESCAPED' : 0)",
    "console.log((async () => {}).constructor('return this.process')() instanceof Promise ? 0 : 'ESCAPED'); this.process && console.log('ESCAPED')",
    "import('node:fs').then(() => console.log('ESCAPED'))",
    "eval(\"import('node:net')\").then(() => console.log('ESCAPED'))",
    "new Function(\"return import('node:net')\")().then(() => console.log('ESCAPED'))",
    "setTimeout(Function(\"import('node:net').then(() => console.log('ESCAPED'))\"), 1)",
    "export {}; await import('node:fs'); console.log('ESCAPED')",
    "if (console._stdout.constructor !== Object) console.log('ESCAPED')",
    "Error.prepareStackTrace = (_, frames) => frames; for (const frame of new Error().stack) { if (frame.getFunction?.()?.caller || frame.getThis?.()?.process) console.log('ESCAPED') }",
    "(function f() { for (let c = f.caller; c; c = c.caller) console.log('ESCAPED') })()",
    "if (require.main || require.cache || require.extensions || require.resolve) console.log('ESCAPED')",
    "for (const m of ['assert','util','events','buffer','url','path']) for (const [k, v] of Object.entries(require(m))) if (v && (v.binding || v.mainModule || v.connect || v.spawn)) console.log('ESCAPED', m, k)",
  ])("no way around: %s", async (source) => {
    const outcome = await run(source);
    expect(outcome.output).not.toContain("ESCAPED");
    expect(["passed", "failed"]).toContain(outcome.status);
  });

  test("the layer below refuses files, processes and threads, too", () => {
    const program = `const results = [];
      for (const f of [() => require("fs").readFileSync("/etc/passwd"), () => require("fs").writeFileSync("/tmp/plinth-escape", "x"),
        () => require("child_process").execSync("id"), () => new (require("worker_threads").Worker)("1", { eval: true })])
        try { f(); results.push("allowed") } catch (error) { results.push(error.code) }
      console.log(results.join(" "));`;
    const flag = process.allowedNodeEnvironmentFlags.has("--permission")
      ? "--permission"
      : "--experimental-permission";
    const printed = execFileSync(process.execPath, [flag, "--no-warnings", "-e", program], {
      encoding: "utf8",
    });
    expect(printed.trim().split(" ")).toEqual(Array(4).fill("ERR_ACCESS_DENIED"));
  });

  test("writing a file leaves none", async () => {
    const directory = mkdtempSync(join(tmpdir(), "plinth-sandbox-"));
    try {
      const path = join(directory, "written");
      expect(await run(`require('fs').writeFileSync(${JSON.stringify(path)}, 'x')`)).toMatchObject({
        status: "forbidden",
      });
      expect(readdirSync(directory)).toEqual([]);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  test("a server on this machine hears nothing", async () => {
    let heard = 0;
    const server = createServer(() => heard++);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as { port: number };
    for (const source of [
      `require('http').get('http://127.0.0.1:${port}')`,
      `fetch('http://127.0.0.1:${port}')`,
      `new WebSocket('ws://127.0.0.1:${port}')`,
    ]) {
      expect(await run(source)).toMatchObject({ status: "forbidden" });
    }
    expect(heard).toBe(0);
    server.close();
  });

  test("the environment is not passed on", async () => {
    process.env.PLINTH_SECRET = "secret";
    const outcome = await run("console.log(typeof process, JSON.stringify(Object.keys(globalThis)))");
    delete process.env.PLINTH_SECRET;
    expect(outcome.output).toMatch(/^undefined/);
    expect(outcome.output).not.toContain("process");
  });
});

test("an aborted run throws, and ends its process", async () => {
  const abort = new AbortController();
  const pending = sandbox.run({ source: "for (;;);", language: "javascript" }, abort.signal);
  setTimeout(() => abort.abort(new Error("enough")), 200);
  await expect(pending).rejects.toThrow("enough");
});

test.skipIf(!existsSync("/proc/self/task"))("no process is left behind (needs /proc)", async () => {
  const before = childrenOf(process.pid);
  for (const source of ["for (;;);", "setInterval(() => {}, 1)"])
    await hasty.run({ source, language: "javascript" });
  expect(childrenOf(process.pid)).toEqual(before);
});

test.each([
  [{ timeoutMs: 0 }, "timeoutMs: expected an integer ≥ 1, got 0"],
  [{ memoryBytes: 1000 }, "memoryBytes: expected an integer ≥ 100663296, got 1000"],
  [{ outputBytes: -1 }, "outputBytes: expected an integer ≥ 0, got -1"],
])("limits that cannot be used are refused: %j", (options, message) => {
  expect(() => new Sandbox(options)).toThrow(message);
});
