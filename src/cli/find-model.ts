import { existsSync } from "node:fs";
import { parseModelId } from "../hub/model-id.ts";
import { type DownloadProgress, type ResolveModelOptions, resolveModel } from "../hub/resolve-model.ts";
import { isLiveTerminal } from "./display.ts";
import type { OutputStreams } from "./output.ts";

/** How a model is found for a verb. */
export interface FindModelOptions extends Pick<ResolveModelOptions, "revision" | "offline" | "signal"> {
  readonly notice: (line: string) => void;
  readonly streams: OutputStreams;
}

/**
 * The directory that the word for a model means, downloaded if need be. What came from Hugging Face is named with its
 * commit and licence.
 *
 * @throws as `resolveModel`.
 */
export async function findModel(
  word: string,
  { notice, streams, ...options }: FindModelOptions,
): Promise<string> {
  // What is neither there nor an id is the verb's to complain of.
  if (options.revision === undefined && (existsSync(word) || !parseModelId(word))) return word;
  const bar = createBar(streams);
  try {
    const { env } = streams;
    const model = await resolveModel(word, { ...options, env, onProgress: bar.update });
    bar.close();
    if (model.id)
      notice(`${model.id}@${model.commit?.slice(0, 12)}, licence: ${model.licence ?? "not stated"}`);
    return model.directory;
  } finally {
    bar.close();
  }
}

interface Bar {
  readonly update: (progress: DownloadProgress) => void;
  readonly close: () => void;
}

/** One line for the whole download: redrawn on a terminal, else a line for each tenth. */
function createBar({ stderr, env }: OutputStreams): Bar {
  const isLive = isLiveTerminal(stderr, env);
  let shown = -1;
  return {
    update({ file, receivedBytes, totalBytes }) {
      const percent = totalBytes > 0 ? Math.floor((100 * receivedBytes) / totalBytes) : 100;
      const step = isLive ? percent : Math.floor(percent / 10);
      if (step === shown) return;
      shown = step;
      const amount = `${megabytes(receivedBytes)} of ${megabytes(totalBytes)} MB`;
      const line = `downloading ${String(percent).padStart(3)} %  ${amount}  ${file}`;
      stderr.write(
        isLive ? `\r\x1b[K${line.slice(0, Math.max(20, (stderr.columns ?? 80) - 1))}` : `${line}\n`,
      );
    },
    close() {
      if (isLive && shown >= 0) stderr.write("\r\x1b[K");
      shown = -1;
    },
  };
}

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(1);
}
