import { FormatError } from "../core/errors.ts";
import { SINGLE_WEIGHTS } from "./model-weights.ts";

/** A file of a model on the Hub. */
export interface RemoteFile {
  readonly path: string;
  readonly sizeBytes: number;
  /** Names the content: SHA-256 of large files, git's blob hash of the others. */
  readonly etag: string;
  readonly hash: "sha256" | "git";
}

/** An entry of a listing, as a server sends it. */
export interface ListedFile {
  readonly type: string;
  readonly path: string;
  readonly size: number;
  readonly oid?: string;
  readonly lfs?: { readonly oid: string; readonly size: number };
}

const SMALL_FILES: ReadonlySet<string> = new Set([
  "README.md",
  "LICENSE",
  "LICENSE.txt",
  "LICENSE.md",
  "NOTICE",
  "config.json",
  "generation_config.json",
  "quantization_config.json",
  "tokenizer.json",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "added_tokens.json",
  "vocab.json",
  "vocab.txt",
  "merges.txt",
  "tekken.json",
  "encodings.json",
  "chat_template.jinja",
  "modules.json",
  "sentence_bert_config.json",
  "config_sentence_transformers.json",
]);

/** Tokenizers of SentencePiece and tiktoken, stages of sentence-transformers, chat templates beside the main one. */
const SMALL: readonly RegExp[] = [
  /^(?:tokenizer|spiece|sentencepiece(?:\.bpe)?)\.model(?:\.v[0-9]+\w*)?$/,
  /^[A-Za-z0-9._-]+\.tiktoken$/,
  /^[0-9]+_[A-Za-z]+\/config\.json$/,
  /^additional_chat_templates\/[A-Za-z0-9_-]+\.jinja$/,
];
const WEIGHTS = /^model(-[0-9]{5}-of-[0-9]{5})?\.safetensors(\.index\.json)?$/;
const ORIGINAL = /^(params\.json|consolidated([.-][A-Za-z0-9_-]+)*\.safetensors(\.index\.json)?)$/;

/**
 * The files a model needs here, out of everything its repository lists: configuration, tokenizer, templates, card and
 * safetensors weights; not the same weights in other formats.
 *
 * @throws {FormatError} if a name leads out of the directory, an entry is malformed, or there are no safetensors.
 */
export function chooseFiles(id: string, listed: readonly ListedFile[]): readonly RemoteFile[] {
  for (const { path } of listed) checkPath(id, path);
  const files = listed.filter(({ type }) => type === "file");
  const whole = files.filter(({ path }) => path === SINGLE_WEIGHTS);
  // Where the weights are there in one file and in shards, the loader takes the one.
  const published = whole.length > 0 ? whole : files.filter(({ path }) => WEIGHTS.test(path));
  const weights = published.length > 0 ? published : files.filter(({ path }) => ORIGINAL.test(path));
  if (!weights.some(({ path }) => path.endsWith(".safetensors"))) {
    const others = files
      .map(({ path }) => path)
      .filter((path) => /\.(bin|h5|onnx|gguf|pt|pth|msgpack)$/.test(path));
    throw new FormatError({
      where: id,
      expected: "weights as safetensors",
      got: others.length > 0 ? others.slice(0, 3).join(", ") : `${files.length} other files`,
      fix: "Choose another model or revision, or convert its weights.",
    });
  }
  const small = files.filter(({ path }) => SMALL_FILES.has(path) || SMALL.some((form) => form.test(path)));
  return [...small, ...weights].map((file) => readEntry(id, file));
}

function readEntry(id: string, { path, size, oid, lfs }: ListedFile): RemoteFile {
  const sizeBytes = lfs?.size ?? size;
  const etag = lfs?.oid ?? oid;
  const wanted = lfs ? /^[0-9a-f]{64}$/ : /^[0-9a-f]{40}$/;
  if (Number.isSafeInteger(sizeBytes) && sizeBytes >= 0 && typeof etag === "string" && wanted.test(etag)) {
    return { path, sizeBytes, etag, hash: lfs ? "sha256" : "git" };
  }
  throw new FormatError({
    where: `${id}, ${JSON.stringify(path)}`,
    expected: "a size and a hash in the listing",
    got: `size ${JSON.stringify(sizeBytes)}, hash ${JSON.stringify(etag ?? null)}`,
  });
}

/** Names become paths in the cache, so they must not lead out of it. */
function checkPath(id: string, path: unknown): void {
  const parts = typeof path === "string" ? path.split("/") : [""];
  const isPlain = parts.every(
    (part) => part !== "" && part !== "." && part !== ".." && !/[\\:\0]/.test(part),
  );
  if (isPlain) return;
  throw new FormatError({
    where: `${id}, its list of files`,
    expected: "names inside the repository",
    got: JSON.stringify(path),
    fix: "Do not use this model.",
  });
}
