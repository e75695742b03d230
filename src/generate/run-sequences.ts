import type { Decoder } from "./decoder.ts";
import type { GenerateEvent, Sequence } from "./sequence.ts";

/** The event loop gets its turn at least that often between tokens. */
const TURN_MS = 4;

export interface RunOptions {
  /** Keep what the decoder has read of the same beginning; see `GenerateOptions`. */
  readonly reuseCache: boolean;
  readonly signal: AbortSignal | undefined;
}

/** An event, and the place of its sequence among those given. */
export interface SequenceEvent {
  readonly index: number;
  readonly event: GenerateEvent;
}

/** Scores after a prompt, kept for other texts that begin with it. */
type PromptScores = Map<readonly number[], Float32Array>;

/**
 * Lets sequences grow side by side, as many at once as the decoder has rows: whenever one ends, the next takes its place.
 * Prompts are read one at a time, since a long piece keeps all cores busy; after that each step reads one token of every
 * sequence. Texts of one prompt, which is then the same array, share its reading.
 */
export async function* runSequences(
  decoder: Decoder,
  sequences: readonly Sequence[],
  { signal, reuseCache }: RunOptions,
): AsyncGenerator<SequenceEvent, void, void> {
  const indexOf = new Map(sequences.map((sequence, index) => [sequence, index]));
  const waiting = [...sequences];
  const active: Sequence[] = []; // by row
  const scoresOf: PromptScores = new Map();
  const turn = new Turn();
  const tell = function* (sequence: Sequence, events: Iterable<GenerateEvent>): Generator<SequenceEvent> {
    for (const event of events) yield { index: indexOf.get(sequence)!, event };
  };
  while (waiting.length + active.length > 0) {
    while (waiting.length > 0 && active.length < decoder.numRows) {
      const sequence = waiting.shift()!;
      const row = active.length;
      sequence.begin();
      const isShared = waiting.some(({ plan }) => plan.prompt === sequence.plan.prompt);
      const scores = await readPrompt(decoder, row, sequence, active, scoresOf, isShared, {
        signal,
        reuseCache,
      });
      sequence.endPrefill();
      if (!scores) {
        yield* tell(sequence, sequence.finish("aborted"));
        continue;
      }
      yield* tell(sequence, sequence.advance(scores, decoder.tokens(row), signal));
      if (!sequence.isFinished) active.push(sequence);
      await turn.give();
    }
    if (active.length === 0) continue;
    const scores = await decoder.step(active.map(({ lastToken }) => lastToken));
    const V = decoder.shape.vocabularySize;
    for (const [row, sequence] of active.entries()) {
      const own = scores.subarray(row * V, (row + 1) * V);
      yield* tell(sequence, sequence.advance(own, decoder.tokens(row), signal));
    }
    removeFinished(decoder, active);
    await turn.giveWhenDue();
  }
}

/** Scores after the prompt; `undefined` if reading it was aborted. */
async function readPrompt(
  decoder: Decoder,
  row: number,
  { plan: { prompt } }: Sequence,
  active: readonly Sequence[],
  scoresOf: PromptScores,
  isShared: boolean,
  { signal, reuseCache }: RunOptions,
): Promise<Float32Array | undefined> {
  const known = scoresOf.get(prompt);
  const sibling = active.findIndex((other) => other.plan.prompt === prompt);
  if (known && sibling >= 0 && decoder.canTruncate(prompt.length, sibling)) {
    decoder.copyRow(sibling, row, prompt.length);
    return known;
  }
  reuse(decoder, row, reuseCache ? prompt : []);
  try {
    const scores = await decoder.prefill(prompt.slice(decoder.tokens(row).length), { row, signal });
    if (isShared) scoresOf.set(prompt, scores.slice());
    return scores;
  } catch (error) {
    if (signal?.aborted && error === signal.reason) return undefined;
    throw error;
  }
}

/** Leaves in the row what some row has read of the prompt's beginning, at best; the last token is read anew for its scores. */
function reuse(decoder: Decoder, row: number, prompt: readonly number[]): void {
  let [best, from] = [0, row];
  for (let other = 0; prompt.length > 0 && other < decoder.numRows; other++) {
    const tokens = decoder.tokens(other);
    const differs = prompt.findIndex((token, i) => i === prompt.length - 1 || tokens[i] !== token);
    if (differs > best && decoder.canTruncate(differs, other)) [best, from] = [differs, other];
  }
  if (from === row) decoder.truncate(best, row);
  else decoder.copyRow(from, row, best);
}

/** Closes the gaps that finished sequences leave among the rows. */
function removeFinished(decoder: Decoder, active: Sequence[]): void {
  for (let row = active.length - 1; row >= 0; row--) {
    if (!active[row]!.isFinished) continue;
    const last = active.pop()!;
    if (row === active.length) continue;
    decoder.copyRow(active.length, row);
    active[row] = last;
  }
}

/** Lets the event loop have its turn. */
class Turn {
  #last = performance.now();

  async give(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    this.#last = performance.now();
  }

  async giveWhenDue(): Promise<void> {
    if (performance.now() - this.#last >= TURN_MS) await this.give();
  }
}
