import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { afterAll, describe, expect, test } from "vitest";
import { type HostTensor, hostTensor } from "../core/dtype.ts";
import { EnvironmentError, ShapeError } from "../core/errors.ts";
import { constant, input, parameter } from "../tensor/tensor.ts";
import { Engine } from "./engine.ts";

const engine = new Engine({ threads: 1 });
const floats = (...values: number[]) => hostTensor("float32", [values.length], Float32Array.from(values));
const list = ({ data }: HostTensor) => Array.from(data, Number);

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

const x = input("x", "float32", [3]);
const w = parameter("block.weight", [3]);
const sums = engine.compile("sums", { total: x.add(w), product: x.mul(w) });
afterAll(() => {
  sums.dispose();
});

describe("values in and out", () => {
  test("are given by name and returned by name", async () => {
    const results = await sums.run({ x: floats(1, 2, 3), "block.weight": floats(10, 20, 30) });
    expect(list(results.total!)).toEqual([11, 22, 33]);
    expect(list(results.product!)).toEqual([10, 40, 90]);
  });

  test("runSync gives what run gives", () => {
    const results = sums.runSync({ x: floats(1, 2, 3), "block.weight": floats(10, 20, 30) });
    expect(list(results.total!)).toEqual([11, 22, 33]);
  });

  test("results are the caller's own: a later run leaves them alone", async () => {
    const weight = floats(0, 0, 0);
    const { total } = await sums.run({ x: floats(1, 2, 3), "block.weight": weight });
    await sums.run({ x: floats(7, 7, 7), "block.weight": weight });
    expect(list(total!)).toEqual([1, 2, 3]);
  });

  test("every dtype passes through: integers beyond 2^53, booleans, scalars, no elements", async () => {
    const big = input("big", "int64", []);
    const small = input("small", "int32", [2]);
    const flags = input("flags", "bool", [2]);
    const none = input("none", "float32", [0, 3]);
    const program = engine.compile("dtypes", {
      next: big.add(1),
      squares: small.mul(small),
      opposite: flags.logicalNot(),
      nothing: none.add(1),
    });
    const results = await program.run({
      big: hostTensor("int64", [], BigInt64Array.of(2n ** 60n)),
      small: hostTensor("int32", [2], Int32Array.of(-3, 4)),
      flags: hostTensor("bool", [2], Uint8Array.of(1, 0)),
      none: hostTensor("float32", [0, 3], new Float32Array(0)),
    });
    expect(results.next).toEqual({ dtype: "int64", shape: [], data: BigInt64Array.of(2n ** 60n + 1n) });
    expect(results.squares).toEqual({ dtype: "int32", shape: [2], data: Int32Array.of(9, 16) });
    expect(results.opposite).toEqual({ dtype: "bool", shape: [2], data: Uint8Array.of(0, 1) });
    expect(results.nothing).toEqual({ dtype: "float32", shape: [0, 3], data: new Float32Array(0) });
    program.dispose();
  });

  test("a graph of constants needs no feed, and an input may be a result", async () => {
    const two = constant(floats(2, 2, 2));
    const program = engine.compile("constant", { four: two.add(two), same: x });
    const results = await program.run({ x: floats(1, 2, 3) });
    expect(list(results.four!)).toEqual([4, 4, 4]);
    expect(list(results.same!)).toEqual([1, 2, 3]);
    program.dispose();
  });

  test("constants of the program are no inputs any more", async () => {
    const constants = new Map([["block.weight", floats(1, 2, 3)]]);
    const program = engine.compile("held", { total: x.add(w) }, { constants });
    expect([...program.inputs.keys()]).toEqual(["x"]);
    collectGarbage();
    expect(list((await program.run({ x: floats(1, 1, 1) })).total!)).toEqual([2, 3, 4]);
    program.dispose();
  });
});

describe("bound tensors", () => {
  test("are read and written in place, and not returned", async () => {
    const program = engine.compile("bound", { total: x.add(w), product: x.mul(w) });
    const [weight, total] = [floats(1, 2, 3), floats(0, 0, 0)];
    program.bind("block.weight", weight);
    program.bind("total", total);
    const first = await program.run({ x: floats(10, 10, 10) });
    expect(Object.keys(first)).toEqual(["product"]);
    expect(list(total)).toEqual([11, 12, 13]);
    weight.data.set([0, 0, 5] as never);
    program.runSync({ x: floats(1, 1, 1) });
    expect(list(total)).toEqual([1, 1, 6]);
    program.dispose();
  });

  test("one tensor as input and output is updated in place", async () => {
    const state = floats(1, 2, 3);
    const program = engine.compile("step", { next: x.mul(2) });
    program.bind("x", state);
    program.bind("next", state);
    for (let i = 0; i < 3; i++) await program.run();
    expect(list(state)).toEqual([8, 16, 24]);
    program.dispose();
  });

  test("can be bound anew, and fed over for one run", async () => {
    const program = engine.compile("again", { y: x.add(1) });
    program.bind("x", floats(1, 1, 1));
    program.bind("x", floats(2, 2, 2));
    expect(list((await program.run()).y!)).toEqual([3, 3, 3]);
    expect(list((await program.run({ x: floats(5, 5, 5) })).y!)).toEqual([6, 6, 6]);
    expect(list((await program.run()).y!)).toEqual([3, 3, 3]);
    program.dispose();
  });

  test("a second binding has tensors of its own", async () => {
    const program = engine.compile("two", { y: x.add(1) });
    const second = program.newBinding();
    const [a, b] = [floats(0, 0, 0), floats(0, 0, 0)];
    program.bind("y", a);
    second.bind("y", b);
    await program.run({ x: floats(1, 1, 1) });
    await program.run({ x: floats(2, 2, 2) }, second);
    expect([list(a), list(b)]).toEqual([
      [2, 2, 2],
      [3, 3, 3],
    ]);
    program.dispose();
  });

  test("stay where they are when everything around them is collected", async () => {
    const program = engine.compile("collected", { y: x.add(w) });
    // Tiny arrays lie on the JavaScript heap, where objects move, until something asks for their memory.
    program.bind("x", { dtype: "float32", shape: [3], data: Float32Array.of(1, 2, 3) });
    program.bind("block.weight", { dtype: "float32", shape: [3], data: Float32Array.of(4, 5, 6) });
    for (let i = 0; i < 20; i++) {
      const garbage = Array.from({ length: 2000 }, (_, at) => new Float32Array(at % 64).fill(9));
      collectGarbage();
      expect(garbage.length).toBe(2000);
      expect(list((await program.run()).y!)).toEqual([5, 7, 9]);
    }
    program.dispose();
  });

  test("fed ones that nobody holds outlive the run they are for", async () => {
    const wide = input("wide", "float32", [512, 512]);
    let y = wide;
    for (let i = 0; i < 20; i++) y = y.matmul(wide, { scale: 1 / 512 });
    const program = engine.compile("unheld", { y });
    const running = program.run({
      wide: { dtype: "float32", shape: [512, 512], data: new Float32Array(512 * 512).fill(1) },
    });
    await new Promise((resolve) => setTimeout(resolve, 2));
    for (let i = 0; i < 10; i++) {
      collectGarbage();
      const overwriting = new Float32Array(512 * 512).fill(Number.NaN);
      expect(overwriting.length).toBe(512 * 512);
    }
    const result = (await running).y!;
    expect(Array.from(result.data as Float32Array).every((value) => Math.abs(value - 1) < 1e-4)).toBe(true);
    program.dispose();
  });
});

describe("runs", () => {
  test("of one program follow each other in order", async () => {
    const state = floats(0, 0, 0);
    const program = engine.compile("queue", { next: x.mul(2).add(w) });
    program.bind("x", state);
    program.bind("next", state);
    const all = [1, 2, 3, 4].map((value) => program.run({ "block.weight": floats(value, 0, 0) }));
    await Promise.all(all);
    expect(list(state)[0]).toBe(((1 * 2 + 2) * 2 + 3) * 2 + 4);
    program.dispose();
  });

  test("of two programs may overlap", async () => {
    const other = engine.compile("other", { y: x.mul(3) });
    const feeds = { x: floats(1, 2, 3), "block.weight": floats(1, 1, 1) };
    const both = Array.from({ length: 20 }, () => [sums.run(feeds), other.run({ x: feeds.x })] as const);
    for (const [first, second] of both) {
      expect(list((await first).total!)).toEqual([2, 3, 4]);
      expect(list((await second).y!)).toEqual([3, 6, 9]);
    }
    other.dispose();
  });

  test("that fail leave the program usable", async () => {
    await expect(sums.run({})).rejects.toThrow(ShapeError);
    const results = await sums.run({ x: floats(1, 2, 3), "block.weight": floats(1, 1, 1) });
    expect(list(results.total!)).toEqual([2, 3, 4]);
  });

  test("thousands of tiny ones, and a hundred compilations, keep memory level", {
    timeout: 120_000,
  }, async () => {
    const feeds = { x: floats(1, 2, 3), "block.weight": floats(1, 1, 1) };
    const work = async (runs: number, compilations: number) => {
      for (let i = 0; i < runs / 2; i++) sums.runSync(feeds);
      for (let i = 0; i < runs / 2; i++) await sums.run(feeds);
      for (let i = 0; i < compilations; i++) {
        const program = engine.compile("short-lived", { y: x.mul(i) });
        program.bind("x", feeds.x);
        program.runSync();
        program.dispose();
      }
      collectGarbage();
      return process.memoryUsage().rss;
    };
    await work(2000, 100);
    const before = await work(500, 20);
    const after = await work(2000, 100);
    expect((after - before) / 2 ** 20).toBeLessThan(10);
  });
});

describe("what is refused, in one line", () => {
  const good = { x: floats(1, 2, 3), "block.weight": floats(1, 1, 1) };

  test.each([
    [{ x: good.x }, "program sums: expected values for all inputs, got none for block.weight."],
    [
      { ...good, "block.wieght": good.x },
      'program sums: expected the name of an input or output, got "block.wieght". Did you mean "block.weight"?',
    ],
    [
      { ...good, x: floats(1, 2) },
      "program sums, tensor x: expected float32 [3], got float32 [2] over 2 elements.",
    ],
    [
      { ...good, x: hostTensor("int32", [3], Int32Array.of(1, 2, 3)) },
      "program sums, tensor x: expected float32 [3], got int32 [3] over 3 elements.",
    ],
    [
      { ...good, x: hostTensor("float32", [1, 3], Float32Array.of(1, 2, 3)) },
      "program sums, tensor x: expected float32 [3], got float32 [1, 3] over 3 elements.",
    ],
    [
      { ...good, x: { dtype: "float32", shape: [3], data: Float32Array.of(1, 2) } as const },
      "program sums, tensor x: expected float32 [3], got float32 [3] over 2 elements.",
    ],
    [
      { ...good, x: { dtype: "float32", shape: [3], data: Float64Array.of(1, 2, 3) } as const },
      "program sums, tensor x: expected float32 [3], got float32 [3] over 3 elements of 8 bytes.",
    ],
  ])("feeds %#", async (feeds, message) => {
    await expect(sums.run(feeds)).rejects.toThrow(message);
    expect(() => sums.runSync(feeds)).toThrow(ShapeError);
  });

  test("an output with the name of an input", () => {
    expect(() => engine.compile("same", { x: x.add(1) })).toThrow(
      'compile: expected one tensor for each name, got an input and an output named "x".',
    );
  });

  test("binding a name that is not there, or the wrong shape", () => {
    expect(() => sums.bind("totel", floats(1, 2, 3))).toThrow('Did you mean "total"?');
    expect(() => sums.bind("total", floats(1, 2))).toThrow(
      "tensor total: expected float32 [3], got float32 [2]",
    );
  });

  test("a run of a disposed program; disposing twice is nothing", async () => {
    const program = engine.compile("gone", { y: x.add(1) });
    expect(program.dispose()).toBeUndefined();
    expect(program.dispose()).toBeUndefined();
    await expect(program.run({ x: floats(1, 2, 3) })).rejects.toThrow(EnvironmentError);
    expect(() => program.runSync({ x: floats(1, 2, 3) })).toThrow(
      "program gone: expected an idle program, got a disposed one.",
    );
  });

  test("anything that would pull the rug from under a run", async () => {
    const wide = input("wide", "float32", [256, 256]);
    const program = engine.compile("busy", { y: wide.matmul(wide).matmul(wide).matmul(wide) });
    const feeds = { wide: hostTensor("float32", [256, 256], new Float32Array(256 * 256)) };
    const running = program.run(feeds);
    await Promise.resolve(); // the run starts in a microtask
    await Promise.resolve();
    expect(() => program.dispose()).toThrow(
      "program busy: expected an idle program, got one that is running.",
    );
    expect(() => program.runSync(feeds)).toThrow("got one that is running.");
    await running;
    program.dispose();
  });

  test("what only the runtime can see, as its own words in one line", async () => {
    const table = parameter("table", [4, 2]);
    const ids = input("ids", "int32", [1]);
    const program = engine.compile("lookup", { row: table.gatherRows(ids) });
    const feeds = {
      table: hostTensor("float32", [4, 2], new Float32Array(8)),
      ids: hostTensor("int32", [1], Int32Array.of(9)),
    };
    const failure = await program.run(feeds).catch((error: Error) => error.message);
    expect(failure).toMatch(/^ONNX Runtime run: expected success, got .*indices element out of data bounds/);
    expect(failure).not.toContain("\n");
    program.dispose();
  });
});
