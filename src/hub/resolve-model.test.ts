import { execFileSync } from "node:child_process";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { COMMIT, FakeHub, gitHash, ID, sha256, weights } from "../../test/fake-hub.ts";
import { ConfigError, EnvironmentError, FormatError } from "../core/errors.ts";
import { cacheDirectory } from "./hub-cache.ts";
import { openModelDirectory } from "./model-directory.ts";
import { chooseFiles } from "./model-files.ts";
import { parseModelId } from "./model-id.ts";
import { type DownloadProgress, type ResolveModelOptions, resolveModel } from "./resolve-model.ts";

const NEXT_COMMIT = "89abcdef0123456789abcdef0123456789abcdef";

let hub: FakeHub;
let options: ResolveModelOptions & { readonly cache: string };
let progress: DownloadProgress[];
beforeEach(async () => {
  hub = new FakeHub();
  progress = [];
  options = {
    hubUrl: await hub.start(),
    cache: mkdtempSync(join(tmpdir(), "plinth-hub-")),
    env: {},
    retryDelaysMs: [1, 1],
    onProgress: (event) => progress.push(event),
  };
});
afterEach(() => {
  hub.stop();
  rmSync(options.cache, { recursive: true });
});

const repository = () => join(options.cache, "models--someone--tiny");
const blobs = () => readdirSync(join(repository(), "blobs")).sort();

describe("a model from the Hub", () => {
  test("what is needed arrives in Python's layout, with one honest progress", async () => {
    const model = await resolveModel(ID, options);
    expect(model).toEqual({
      directory: join(repository(), "snapshots", COMMIT),
      id: ID,
      commit: COMMIT,
      licence: "apache-2.0",
      downloadedBytes: expect.any(Number),
    });
    expect(readdirSync(model.directory).sort()).toEqual([
      "README.md",
      "config.json",
      "model.safetensors",
      "tokenizer.json",
    ]);
    expect(readFileSync(join(repository(), "refs", "main"), "utf8")).toBe(COMMIT);
    expect(lstatSync(join(model.directory, "config.json")).isSymbolicLink()).toBe(true);
    expect(blobs()).toContain(sha256(weights()));
    const opened = openModelDirectory(model.directory);
    expect(opened.weights.names).toEqual(["w"]);
    opened.close();

    const total = [...hub.contents]
      .filter(([name]) => !/\.(bin|onnx)$/.test(name))
      .reduce((sum, [, { length }]) => sum + length, 0);
    expect(new Set(progress.map(({ totalBytes }) => totalBytes))).toEqual(new Set([total]));
    const received = progress.map(({ receivedBytes }) => receivedBytes);
    expect(received).toEqual([...received].sort((a, b) => a - b));
    expect(received.at(-1)).toBe(total);
    expect(model.downloadedBytes).toBe(total);
  });

  test("a second time nothing is fetched again; offline nobody is asked", async () => {
    await resolveModel(ID, options);
    hub.requests.length = 0;
    expect((await resolveModel(ID, options)).downloadedBytes).toBe(0);
    expect(hub.downloads()).toEqual([]);
    hub.requests.length = 0;
    expect((await resolveModel(ID, { ...options, offline: true })).commit).toBe(COMMIT);
    expect((await resolveModel(ID, { ...options, env: { HF_HUB_OFFLINE: "1" } })).commit).toBe(COMMIT);
    expect((await resolveModel(`${ID}@${COMMIT}`, options)).commit).toBe(COMMIT); // a commit cannot change
    expect(hub.requests).toEqual([]);
  });

  test("offline without it: a clear refusal", async () => {
    await expect(resolveModel(ID, { ...options, offline: true })).rejects.toThrow(
      /someone\/tiny@main: expected the model in .* got none/,
    );
    await resolveModel(ID, options);
    await expect(resolveModel(`${ID}@v1`, { ...options, offline: true })).rejects.toThrow(
      /not this revision/,
    );
    rmSync(join(repository(), "blobs", sha256(weights())));
    await expect(resolveModel(ID, { ...options, offline: true })).rejects.toThrow(EnvironmentError);
  });

  test("a tag is asked for and remembered; two revisions that differ are refused", async () => {
    await resolveModel(`${ID}@v1`, options);
    expect(readFileSync(join(repository(), "refs", "v1"), "utf8")).toBe(COMMIT);
    expect(hub.requests[0]!.url).toContain("/revision/v1?");
    await expect(resolveModel(`${ID}@v1`, { ...options, revision: "main" })).rejects.toThrow(ConfigError);
    await expect(resolveModel(ID, { ...options, revision: "../x" })).rejects.toThrow(ConfigError);
    await expect(resolveModel(`${ID}@v9`, options)).rejects.toThrow(/no such revision/);
  });

  test("changed files are fetched, the others linked", async () => {
    await resolveModel(ID, options);
    hub.requests.length = 0;
    hub.commit = NEXT_COMMIT;
    hub.contents.set("model.safetensors", weights(1));
    const model = await resolveModel(ID, options);
    expect(model.commit).toBe(NEXT_COMMIT);
    expect(hub.downloads()).toEqual(["model.safetensors"]);
    expect(readFileSync(join(model.directory, "model.safetensors")).equals(weights(1))).toBe(true);
    expect(readFileSync(join(repository(), "snapshots", COMMIT, "model.safetensors")).equals(weights())).toBe(
      true,
    );
  });

  test("the token goes along, and one that is none is not sent", async () => {
    await resolveModel(ID, { ...options, env: { HF_TOKEN: "hf_secret" } });
    expect(new Set(hub.requests.map(({ token }) => token))).toEqual(new Set(["Bearer hf_secret"]));
    await expect(resolveModel(ID, { ...options, env: { HF_TOKEN: "secret" } })).rejects.toThrow(
      /^HF_TOKEN: (?!.*secret)/,
    );
  });
});

describe("a download that breaks", () => {
  test("a hub that is busy is asked again, for its list and for each file", async () => {
    hub.busy = 2;
    await resolveModel(ID, { ...options, onProgress: () => (hub.busy = 1) });
    expect(hub.downloads().filter((name) => name === "config.json")).toHaveLength(2);
    hub.busy = 0;
    hub.commit = NEXT_COMMIT;
    hub.contents.set("config.json", Buffer.from("[1]"));
    const always = { ...options, onProgress: () => (hub.busy = 9) };
    await expect(resolveModel(ID, always)).rejects.toThrow(/expected 3 bytes, got 0, then status 503/);
  });

  test("content in the cache that was cut off is fetched again", async () => {
    await resolveModel(ID, options);
    const blob = join(repository(), "blobs", sha256(weights()));
    writeFileSync(blob, weights().subarray(0, 100));
    await resolveModel(ID, options);
    expect(readFileSync(blob).equals(weights())).toBe(true);
  });

  test("goes on by itself where it stopped", async () => {
    hub.breaks = [100_000, 50_000];
    const model = await resolveModel(ID, options);
    expect(readFileSync(join(model.directory, "model.safetensors")).equals(weights())).toBe(true);
    const ranges = hub.requests
      .filter(({ url }) => url.endsWith("model.safetensors"))
      .map(({ range }) => range);
    expect(ranges).toEqual([undefined, "bytes=100000-", "bytes=150000-"]);
  });

  test("for good: an error says how far, and the next run goes on", async () => {
    hub.breaks = [100_000, 0, 0, 0];
    await expect(resolveModel(ID, options)).rejects.toThrow(
      /expected 400\d\d\d bytes, got 100000, then .*Run it again/,
    );
    expect(blobs()).toContain(`${sha256(weights())}.incomplete`);
    expect(existsSync(join(repository(), "snapshots"))).toBe(false);
    hub.requests.length = 0;
    const model = await resolveModel(ID, options);
    expect(hub.requests.find(({ url }) => url.endsWith("model.safetensors"))!.range).toBe("bytes=100000-");
    expect(model.downloadedBytes).toBe(weights().length - 100_000);
    expect(blobs().some((name) => name.endsWith(".incomplete"))).toBe(false);
  });

  test("a server without ranges sends all of it again", async () => {
    hub.supportsRange = false;
    hub.breaks = [100_000];
    const model = await resolveModel(ID, options);
    expect(readFileSync(join(model.directory, "model.safetensors")).equals(weights())).toBe(true);
  });

  test("a part that is wrong is fetched again from the beginning", async () => {
    mkdirSync(join(repository(), "blobs"), { recursive: true });
    writeFileSync(join(repository(), "blobs", `${sha256(weights())}.incomplete`), Buffer.alloc(1000, 7));
    const model = await resolveModel(ID, options);
    expect(readFileSync(join(model.directory, "model.safetensors")).equals(weights())).toBe(true);
  });

  test("the part of an older version is left alone", async () => {
    hub.breaks = [100_000, 0, 0, 0];
    await expect(resolveModel(ID, options)).rejects.toThrow(EnvironmentError);
    hub.breaks = [];
    hub.commit = NEXT_COMMIT;
    hub.contents.set("model.safetensors", weights(1));
    const model = await resolveModel(ID, options);
    expect(readFileSync(join(model.directory, "model.safetensors")).equals(weights(1))).toBe(true);
  });

  test("abort stops it, and leaves what can be continued", async () => {
    const abort = new AbortController();
    const stopping = {
      ...options,
      signal: abort.signal,
      onProgress: ({ receivedBytes }: DownloadProgress) => receivedBytes > 5000 && abort.abort(),
    };
    hub.breaks = [100_000];
    await expect(resolveModel(ID, stopping as ResolveModelOptions)).rejects.toThrow(/abort/);
    expect(existsSync(join(repository(), "snapshots"))).toBe(false);
  });
});

describe("what a stranger's server may do", () => {
  test.each([
    ["one byte differs", Buffer.concat([weights().subarray(0, -1), Buffer.from([1])]), /hash/],
    ["it is longer", Buffer.concat([weights(), Buffer.alloc(10)]), /got more/],
  ])("%s: refused, nothing kept", async (_, data, message) => {
    hub.swapped.set("model.safetensors", data);
    const result = resolveModel(ID, options);
    await expect(result).rejects.toThrow(FormatError);
    await expect(result).rejects.toThrow(message);
    expect(existsSync(join(repository(), "snapshots"))).toBe(false);
    expect(blobs()).not.toContain(sha256(weights()));
  });

  test("a small file that is not what was listed", async () => {
    hub.swapped.set("config.json", Buffer.from('{"model_type":"y"}'));
    await expect(resolveModel(ID, options)).rejects.toThrow(/git hash/);
  });

  test.each(["../x", "/etc/passwd", "a/../../x", "a\\b", "C:x", "./x", "a//b", ""])(
    "a file named %j",
    async (path) => {
      hub.extraEntries = [{ type: "file", path, size: 1, oid: gitHash(Buffer.alloc(1)) }];
      await expect(resolveModel(ID, options)).rejects.toThrow(/expected names inside the repository/);
      expect(hub.downloads()).toEqual([]);
    },
  );

  test.each<[string, Record<string, unknown>]>([
    ["a hash that is a path", { oid: "../../x" }],
    ["no hash", { oid: undefined }],
    ["a negative size", { size: -1 }],
    ["a size that is no number", { size: "1" }],
  ])("%s", async (_, change) => {
    hub.extraEntries = [
      { type: "file", path: "vocab.txt", size: 1, oid: gitHash(Buffer.alloc(1)), ...change },
    ];
    await expect(resolveModel(ID, options)).rejects.toThrow(/expected a size and a hash/);
  });

  test("a list without end, a commit that is none, an answer that is no JSON", async () => {
    hub.endless = true;
    await expect(resolveModel(ID, options)).rejects.toThrow(/a list that does not end/);
    hub.endless = false;
    hub.commit = "../../x";
    await expect(resolveModel(ID, options)).rejects.toThrow(/expected the hash of a commit/);
  });

  test("another place, to which the token must not follow", async () => {
    const other = new FakeHub();
    hub.elsewhere = await other.start();
    const env = { HF_TOKEN: "hf_secret" };
    await resolveModel(ID, { ...options, env });
    other.stop();
    expect(other.requests.map(({ token }) => token)).toEqual([undefined]);
    expect(other.downloads()).toEqual(["model.safetensors"]);
  });

  test("an answer too long for a list of files", async () => {
    hub.extraEntries = ["x".repeat(33_000_000)];
    await expect(resolveModel(ID, options)).rejects.toThrow(/expected an answer of at most 32000000 bytes/);
  });

  test("a licence that would redraw the terminal", async () => {
    hub.contents.set("README.md", Buffer.from("---\nlicense:\n  - m\u001b[2Jit # or so\n---\n"));
    expect((await resolveModel(ID, options)).licence).toBe("m[2Jit");
  });

  test("a size no disk has", async () => {
    hub.extraEntries = [{ type: "file", path: "vocab.txt", size: 2 ** 52, oid: gitHash(Buffer.alloc(1)) }];
    await expect(resolveModel(ID, options)).rejects.toThrow(/GB of free space for the download/);
    expect(hub.downloads()).toEqual([]);
  });

  test("an index whose shards are not listed", async () => {
    hub.contents.delete("model.safetensors");
    hub.contents.set(
      "model.safetensors.index.json",
      Buffer.from('{"weight_map":{"w":"model-00002-of-00002.safetensors"}}'),
    );
    hub.contents.set("model-00001-of-00002.safetensors", weights());
    await expect(resolveModel(ID, options)).rejects.toThrow(/all weights its index names/);
  });
});

describe("a cache with links that lead out of it", () => {
  let outside: string;
  beforeEach(() => {
    outside = mkdtempSync(join(tmpdir(), "plinth-outside-"));
    writeFileSync(join(outside, "secret"), "mine");
  });
  afterEach(() => {
    expect(readdirSync(outside)).toEqual(["secret"]);
    expect(readFileSync(join(outside, "secret"), "utf8")).toBe("mine");
    rmSync(outside, { recursive: true });
  });

  /** Refused with and without the network, and nothing is asked for. */
  async function expectRefusal(): Promise<void> {
    const message = /expected a link that stays in its model's part of the cache, got one to .*Remove it\.$/;
    await expect(resolveModel(ID, options)).rejects.toThrow(message);
    await expect(resolveModel(`${ID}@${COMMIT}`, { ...options, offline: true })).rejects.toThrow(message);
  }

  test("a file of the model", async () => {
    const { directory } = await resolveModel(ID, options);
    rmSync(join(directory, "tokenizer.json"));
    symlinkSync(join(outside, "secret"), join(directory, "tokenizer.json"));
    await expectRefusal();
  });

  test.each(["blobs", "refs", `snapshots/${COMMIT}`])("its %s", async (name) => {
    mkdirSync(join(repository(), "snapshots"), { recursive: true });
    symlinkSync(outside, join(repository(), name));
    await expectRefusal();
  });

  test("a download that was begun", async () => {
    mkdirSync(join(repository(), "blobs"), { recursive: true });
    const part = join(repository(), "blobs", `${sha256(weights())}.incomplete`);
    symlinkSync(join(outside, "secret"), part);
    await expectRefusal();
    rmSync(part);
    symlinkSync(join(outside, "absent"), part);
    await expect(resolveModel(ID, options)).rejects.toThrow(/incomplete: expected a file/);
  });
});

describe("which files", () => {
  const choose = (...paths: readonly string[]) =>
    chooseFiles(
      ID,
      paths.map((path) => ({ type: "file", path, size: 1, oid: "0".repeat(40) })),
    ).map(({ path }) => path);
  const single = "model.safetensors";

  test("all that a tokenizer or a sentence encoder is read from, and nothing that runs code", () => {
    const needed = [
      "config.json",
      "tokenizer.model.v3",
      "sentencepiece.bpe.model",
      "qwen.tiktoken",
      "encodings.json",
      "1_Pooling/config.json",
      "2_Normalize/config.json",
      "additional_chat_templates/tools.jinja",
    ];
    const other = ["modeling_x.py", "training_args.bin", "model.fp16.safetensors", "x/model.safetensors"];
    expect(choose(...needed, ...other, single)).toEqual([...needed, single]);
  });

  test("weights once: in one file rather than in shards, in the usual layout rather than in Mistral's", () => {
    const shards = ["model-00001-of-00001.safetensors", "model.safetensors.index.json"];
    const original = ["params.json", "consolidated.00.safetensors", "consolidated.01.safetensors"];
    expect(choose(...shards, ...original, single)).toEqual([single]);
    expect(choose(...shards, ...original)).toEqual(shards);
    expect(choose(...original)).toEqual(original);
  });

  test("Mistral's own layout in pieces", async () => {
    hub.contents.delete("model.safetensors");
    hub.contents.set("params.json", Buffer.from("{}"));
    hub.contents.set("consolidated.00.safetensors", weights());
    const { directory } = await resolveModel(ID, options);
    expect(existsSync(join(directory, "consolidated.00.safetensors"))).toBe(true);
  });
});

test("where the cache is", () => {
  const home = homedir();
  expect(cacheDirectory({})).toBe(join(home, ".cache", "huggingface", "hub"));
  expect(cacheDirectory({ HF_HOME: "", HF_HUB_CACHE: "", XDG_CACHE_HOME: "/x" })).toBe("/x/huggingface/hub");
  expect(cacheDirectory({ HF_HOME: "~/hf", XDG_CACHE_HOME: "/x" })).toBe(join(home, "hf", "hub"));
  expect(cacheDirectory({ HF_HOME: "/h", HF_HUB_CACHE: "/c" })).toBe("/c");
});

describe("no model", () => {
  test.each([
    [404, /none of that name, or no such revision/],
    [401, /no access without a token.*set HF_TOKEN/],
    [403, /gated or private.*then set HF_TOKEN/],
    [500, /status 500/],
  ])("status %d", async (status, message) => {
    hub.status = status;
    const result = resolveModel(ID, options);
    await expect(result).rejects.toThrow(EnvironmentError);
    await expect(result).rejects.toThrow(message);
  });

  test("no network", async () => {
    hub.stop();
    await expect(resolveModel(ID, options)).rejects.toThrow(/no connection \(ECONNREFUSED\)/);
  });

  test("no network, but in the cache: said, not taken", async () => {
    await resolveModel(ID, options);
    hub.stop();
    await expect(resolveModel(ID, options)).rejects.toThrow(/add --offline/);
  });

  test("only weights in other formats", async () => {
    hub.contents.delete("model.safetensors");
    await expect(resolveModel(ID, options)).rejects.toThrow(
      /expected weights as safetensors, got pytorch_model.bin, onnx\/model.onnx/,
    );
  });

  test("neither a directory nor an id", async () => {
    await expect(resolveModel(join(options.cache, "absent"), options)).rejects.toThrow(
      /expected a model directory, or the id/,
    );
    expect(hub.requests).toEqual([]);
  });
});

test("directories are taken as they are", async () => {
  const directory = join(options.cache, "here");
  mkdirSync(directory);
  writeFileSync(join(directory, "README.md"), "---\nlicense: other\nlicense_name: mine\n---\n");
  expect(await resolveModel(directory, options)).toMatchObject({ directory, id: undefined, licence: "mine" });
  await expect(resolveModel(directory, { ...options, revision: "v1" })).rejects.toThrow(ConfigError);
});

test("ids", () => {
  expect(parseModelId("a/b")).toEqual({ id: "a/b", revision: undefined });
  expect(parseModelId("a-1/b.c_d@refs/pr/1")).toEqual({ id: "a-1/b.c_d", revision: "refs/pr/1" });
  for (const spec of ["a", "a/b/c", "../b", "a/..", "/a/b", "a/b.", "a--b/c", "./a", "a/b\n"])
    expect(parseModelId(spec), spec).toBeUndefined();
  for (const spec of ["a/b@../x", "a/b@/x", "a/b@x/", "a/b@ x"])
    expect(() => parseModelId(spec), spec).toThrow(ConfigError);
});

const python = process.env.PLINTH_PYTHON;
test.skipIf(!python)("Python finds what was downloaded (skipped without PLINTH_PYTHON)", async () => {
  const { directory } = await resolveModel(ID, options);
  const script =
    "import sys,huggingface_hub as h; print(h.snapshot_download(sys.argv[1], cache_dir=sys.argv[2], local_files_only=True))";
  const found = execFileSync(python!, ["-c", script, ID, options.cache], { encoding: "utf8" }).trim();
  expect(found).toBe(directory);
});
