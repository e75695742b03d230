import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** The commit of the hub's model. */
export const COMMIT = "0123456789abcdef0123456789abcdef01234567";
/** The hub's only model. */
export const ID = "someone/tiny";

/** A safetensors file with one tensor of 100,000 floats. */
export function weights(fill = 0): Buffer {
  const header = Buffer.from(
    JSON.stringify({ w: { dtype: "F32", shape: [100_000], data_offsets: [0, 400_000] } }),
  );
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  return Buffer.concat([length, header, Buffer.alloc(400_000, fill)]);
}

const README = "---\nlanguage: en\nlicense: apache-2.0\n---\n# Tiny\n";
const files = (): Map<string, Buffer> =>
  new Map([
    ["README.md", Buffer.from(README)],
    ["config.json", Buffer.from('{"model_type":"x"}')],
    ["tokenizer.json", Buffer.from("{}")],
    ["model.safetensors", weights()],
    ["pytorch_model.bin", Buffer.alloc(10)],
    ["onnx/model.onnx", Buffer.alloc(10)],
  ]);

/** The hash that git has for a file, by which small ones are named. */
export const gitHash = (data: Buffer) =>
  createHash("sha1").update(`blob ${data.length}\0`).update(data).digest("hex");
/** The hash that large files are named by. */
export const sha256 = (data: Buffer) => createHash("sha256").update(data).digest("hex");

/** A hub for tests, on this machine: speaks the endpoints of the Hub that are used, with faults to order. */
export class FakeHub {
  readonly #server: Server = createServer((request, response) => this.#answer(request, response));
  contents = files();
  commit = COMMIT;
  status = 200;
  /** Requests that are answered with 503 before the others are answered. */
  busy = 0;
  /** Where the weights are, if elsewhere. */
  elsewhere: string | undefined;
  /** Bytes after which the weights break off, for as many requests as there are. */
  breaks: number[] = [];
  supportsRange = true;
  /** Sent in place of what was listed. */
  readonly swapped = new Map<string, Buffer>();
  extraEntries: unknown[] = [];
  endless = false;
  readonly requests: {
    readonly url: string;
    readonly range: string | undefined;
    readonly token: string | undefined;
  }[] = [];

  async start(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  stop(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  downloads(): readonly string[] {
    return this.requests
      .filter(({ url }) => url.includes("/resolve/"))
      .map(({ url }) => url.split(`/resolve/${this.commit}/`)[1]!);
  }

  #answer({ url = "", headers }: IncomingMessage, response: ServerResponse): void {
    this.requests.push({ url, range: headers.range, token: headers.authorization });
    const json = (value: unknown, status = 200, more = {}) =>
      response.writeHead(status, { "content-type": "application/json", ...more }).end(JSON.stringify(value));
    if (this.status !== 200) return void json({ error: "no" }, this.status);
    if (this.busy-- > 0) return void json({ error: "busy" }, 503);
    if (this.elsewhere && url.endsWith("/model.safetensors")) {
      return void response.writeHead(302, { location: this.elsewhere + url }).end();
    }
    if (url.startsWith(`/api/models/${ID}/revision/`)) {
      return void (/revision\/(main|v1|[0-9a-f]{40})\?/.test(url)
        ? json({ id: ID, sha: this.commit })
        : json({ error: "Invalid rev id" }, 404));
    }
    if (url.startsWith(`/api/models/${ID}/tree/${this.commit}`)) {
      const next = this.endless ? { link: `<http://${headers.host}${url}>; rel="next"` } : {};
      return void json(this.#list(), 200, next);
    }
    const name = decodeURIComponent(url.split(`/${ID}/resolve/${this.commit}/`)[1] ?? "");
    const data = this.swapped.get(name) ?? this.contents.get(name);
    if (!data) return void json({ error: "Repository not found" }, 404);
    this.#send(name, data, headers.range, response);
  }

  #list(): unknown[] {
    const entries: unknown[] = [{ type: "directory", path: "onnx", size: 0, oid: gitHash(Buffer.alloc(0)) }];
    for (const [path, data] of this.contents) {
      const lfs = path.endsWith(".safetensors")
        ? { lfs: { oid: sha256(data), size: data.length, pointerSize: 130 } }
        : {};
      entries.push({ type: "file", path, size: data.length, oid: gitHash(data), ...lfs });
    }
    return [...entries, ...this.extraEntries];
  }

  #send(name: string, data: Buffer, range: string | undefined, response: ServerResponse): void {
    const start = this.supportsRange && range ? Number(/bytes=([0-9]+)-/.exec(range)![1]) : 0;
    const body = data.subarray(start);
    const more = start > 0 ? { "content-range": `bytes ${start}-${data.length - 1}/${data.length}` } : {};
    response.writeHead(start > 0 ? 206 : 200, { "content-length": body.length, etag: '"cdn"', ...more });
    const cut = name === "model.safetensors" ? this.breaks.shift() : undefined;
    if (cut === undefined) response.end(body);
    else response.write(body.subarray(0, cut), () => setTimeout(() => response.destroy(), 20));
  }
}
