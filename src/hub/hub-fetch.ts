import { setTimeout as sleep } from "node:timers/promises";
import { FormatError } from "../core/errors.ts";
import { describeNetworkError, isNetworkError, isPassing } from "./download.ts";

/** A hub that answers nothing for so long is taken for gone. */
const ANSWER_MS = 30_000;

/** Pages of a list of files are far smaller. */
const MAX_ANSWER_BYTES = 32_000_000;
const MAX_REQUESTS = 200;

/** How a hub is asked. */
export interface HubFetchOptions {
  readonly hubUrl: string;
  readonly signal: AbortSignal | undefined;
  readonly retryDelaysMs: readonly number[];
}

/**
 * A `fetch` for the Hub's small answers that a stranger's server cannot abuse: it stays at one place, so that the token does, and ends in
 * time and in memory. What may pass (a busy server, a connection that breaks) is tried again.
 */
export function createHubFetch({ hubUrl, signal, retryDelaysMs }: HubFetchOptions): typeof fetch {
  let requests = 0;
  return async (url, init) => {
    if (++requests > MAX_REQUESTS) {
      const got = "a list that does not end";
      throw new FormatError({ where: hubUrl, expected: `at most ${MAX_REQUESTS} pages of files`, got });
    }
    checkOrigin(String(url), hubUrl);
    for (let attempt = 0; ; attempt++) {
      const delay = retryDelaysMs[attempt];
      try {
        const answer = await askOnce(String(url), init, hubUrl, signal);
        if (delay === undefined || !isPassing(answer.status)) return answer;
      } catch (error) {
        signal?.throwIfAborted();
        // Nobody is listening, or there is no such host: that does not pass in seconds.
        const isFinal = /^(?:ECONNREFUSED|ENOTFOUND)$/.test(describeNetworkError(error));
        if (delay === undefined || isFinal || !isNetworkError(error)) throw error;
      }
      await sleep(delay, undefined, signal && { signal });
    }
  };
}

async function askOnce(
  url: string,
  init: RequestInit | undefined,
  hubUrl: string,
  signal: AbortSignal | undefined,
): Promise<Response> {
  const timeout = AbortSignal.timeout(ANSWER_MS);
  try {
    const stop = AbortSignal.any([timeout, ...(signal ? [signal] : [])]);
    const { body, status, headers } = await fetch(url, { ...init, signal: stop });
    const chunks: Uint8Array[] = [];
    let size = 0;
    for await (const chunk of body ?? []) {
      chunks.push(chunk as Uint8Array);
      size += (chunk as Uint8Array).length;
      if (size > MAX_ANSWER_BYTES) {
        const expected = `an answer of at most ${MAX_ANSWER_BYTES} bytes`;
        throw new FormatError({ where: hubUrl, expected, got: "a longer one" });
      }
    }
    return new Response(status === 204 ? null : Buffer.concat(chunks), { status, headers });
  } catch (error) {
    if (!timeout.aborted || signal?.aborted) throw error;
    // In the form of a broken connection, which it is.
    throw new TypeError("fetch failed", { cause: new Error(`no answer within ${ANSWER_MS / 1000} s`) });
  }
}

/** Later pages are where the server says; the token must not follow it to another place. */
function checkOrigin(url: string, hubUrl: string): void {
  if (URL.canParse(url) && new URL(url).origin === new URL(hubUrl).origin) return;
  throw new FormatError({
    where: hubUrl,
    expected: "further pages from the same place",
    got: JSON.stringify(url),
  });
}
