import { type NgramModel, trainNgram } from "../eval/ngram.ts";
import { type LocalTask, labelOf, pieceOf, type TaskRow } from "./local-task.ts";

/** Longest sequence of bytes that is counted. */
const ORDER = 3;

/** How often simple means name the right kind. */
export interface KindBaseline {
  readonly label: string;
  /** Share of the held-out pieces. */
  readonly accuracy: number;
}

/**
 * What the task takes no network for: always the most common kind; and counting, for each kind, the sequences of bytes in its training
 * pieces, then naming the kind whose counts make a piece the most probable.
 */
export function scoreKindBaselines({ kinds, training, heldOut }: LocalTask): KindBaseline[] {
  const counts = kinds.map((kind) => training.filter((row) => labelOf(row) === kind).length);
  const common = kinds[counts.indexOf(Math.max(...counts))]!;
  const models = kinds.map((kind) => countKind(training.filter((row) => labelOf(row) === kind)));
  const share = (guess: (row: TaskRow) => string) =>
    heldOut.filter((row) => guess(row) === labelOf(row)).length / heldOut.length;
  const byCounts = (row: TaskRow) => {
    const bytes = Buffer.from(pieceOf(row));
    const nats = models.map((model) => model.totalNats(bytes));
    return kinds[nats.indexOf(Math.min(...nats))]!;
  };
  return [
    { label: `counting ${ORDER} bytes`, accuracy: share(byCounts) },
    { label: "the most common kind", accuracy: share(() => common) },
  ];
}

function countKind(rows: readonly TaskRow[]): NgramModel {
  const bytes = Buffer.from(rows.map(pieceOf).join("\n"));
  return trainNgram(bytes, { order: ORDER, vocabularySize: 256 });
}
