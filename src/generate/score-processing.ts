import type { SamplingOptions } from "./sampling-options.ts";

/** What drawing a token takes of its sequence besides the tokens themselves. All may be left out. */
export interface SequenceContext {
  /** How many of the tokens so far are the prompt: frequency, presence and `minNewTokens` count those after it. Default: all. */
  readonly promptLength?: number | undefined;
  /** Tokens that end the text, which `minNewTokens` holds back. */
  readonly endTokens?: Iterable<number> | undefined;
  /** Bit `t & 31` of word `t >> 5` is set where a constraint allows token t, ends included; see `tokenMask`. */
  readonly allowed?: Uint32Array | undefined;
}

/** The options that change scores before any are left out by their probability. */
export type ScoreOptions = Pick<
  SamplingOptions,
  | "logitBias"
  | "repetitionPenalty"
  | "frequencyPenalty"
  | "presencePenalty"
  | "noRepeatNgramSize"
  | "badWords"
  | "suppressTokens"
  | "minNewTokens"
>;

/**
 * Scores with biases, penalties, bans and the constraint applied, in the order of Python's `transformers`: logit bias, repetition
 * penalty, (frequency and presence, which it does not have), no repeated n-gram, bad words, `minNewTokens`,
 * constraint, suppressed tokens.
 *
 * What is banned scores −∞. A ban gives way where it leaves nothing of what the constraint allows: the text stays valid.
 *
 * @returns the given scores themselves where nothing applies; they are never changed
 */
export function processScores(
  logits: Float32Array,
  previous: ArrayLike<number>,
  options: ScoreOptions,
  context: SequenceContext = {},
): ArrayLike<number> {
  const isAdjusted = hasAdjustments(options);
  const banned = bannedTokens(previous, options, context);
  const { allowed } = context;
  if (!isAdjusted && banned.length === 0 && !allowed) return logits;
  const scores = Float64Array.from(logits);
  if (isAdjusted) adjustScores(scores, previous, options, context);
  const before = banned.map((id) => scores[id]!);
  for (const id of banned) scores[id] = Number.NEGATIVE_INFINITY;
  if (!allowed || keepAllowed(scores, allowed)) return scores;
  for (const [i, id] of banned.entries()) {
    if (isAllowed(allowed, id)) scores[id] = before[i]!;
  }
  return scores;
}

/** True if the mask has the token's bit. */
export function isAllowed(mask: Uint32Array, token: number): boolean {
  return ((mask[token >>> 5] ?? 0) & (1 << (token & 31))) !== 0;
}

function hasAdjustments(options: ScoreOptions): boolean {
  const { logitBias, repetitionPenalty, frequencyPenalty, presencePenalty } = options;
  return (
    repetitionPenalty !== 1 ||
    frequencyPenalty !== 0 ||
    presencePenalty !== 0 ||
    Object.keys(logitBias).length > 0
  );
}

function adjustScores(
  scores: Float64Array,
  previous: ArrayLike<number>,
  options: ScoreOptions,
  { promptLength = previous.length }: SequenceContext,
): void {
  const { logitBias, repetitionPenalty, frequencyPenalty, presencePenalty } = options;
  for (const [id, bias] of Object.entries(logitBias)) scores[Number(id)]! += bias;
  if (repetitionPenalty !== 1) {
    for (const id of new Set(Array.from(previous))) {
      const score = scores[id];
      if (score === undefined) continue;
      scores[id] = score < 0 ? score * repetitionPenalty : score / repetitionPenalty;
    }
  }
  if (frequencyPenalty === 0 && presencePenalty === 0) return;
  const counts = new Map<number, number>();
  for (let i = promptLength; i < previous.length; i++) {
    counts.set(previous[i]!, (counts.get(previous[i]!) ?? 0) + 1);
  }
  for (const [id, count] of counts) {
    if (id < scores.length) scores[id]! -= count * frequencyPenalty + presencePenalty;
  }
}

function bannedTokens(
  previous: ArrayLike<number>,
  options: ScoreOptions,
  { promptLength = previous.length, endTokens = [] }: SequenceContext,
): number[] {
  const { noRepeatNgramSize, badWords, suppressTokens, minNewTokens } = options;
  const banned = [...suppressTokens];
  if (noRepeatNgramSize > 0) pushRepeats(banned, previous, noRepeatNgramSize);
  if (badWords.length > 0) {
    const ends = new Set(endTokens);
    for (const word of badWords) {
      const last = word.at(-1)!;
      if (word.length === 1 && ends.has(last)) continue;
      if (endsWith(previous, word, word.length - 1)) banned.push(last);
    }
  }
  if (previous.length - promptLength < minNewTokens) banned.push(...endTokens);
  return banned;
}

/** The tokens that followed the last n − 1 ones earlier. */
function pushRepeats(banned: number[], previous: ArrayLike<number>, n: number): void {
  const last = previous.length - n + 1; // where those n − 1 begin
  for (let start = 0; start < last; start++) {
    let length = 0;
    while (length < n - 1 && previous[start + length] === previous[last + length]) length++;
    if (length === n - 1) banned.push(previous[start + n - 1]!);
  }
}

function endsWith(previous: ArrayLike<number>, word: readonly number[], length: number): boolean {
  const start = previous.length - length;
  if (start < 0) return false;
  for (let i = 0; i < length; i++) if (previous[start + i] !== word[i]) return false;
  return true;
}

/** Bans all that is not allowed; false if that leaves nothing. */
function keepAllowed(scores: Float64Array, allowed: Uint32Array): boolean {
  let isAnyLeft = false;
  for (let id = 0; id < scores.length; id++) {
    if (!isAllowed(allowed, id)) scores[id] = Number.NEGATIVE_INFINITY;
    else isAnyLeft ||= scores[id]! !== Number.NEGATIVE_INFINITY;
  }
  return isAnyLeft;
}
