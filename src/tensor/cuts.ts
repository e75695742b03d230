import { BYTES_PER_ELEMENT, numElements } from "../core/dtype.ts";
import { staticShape } from "../core/shape.ts";
import type { Node, Tensor } from "./tensor.ts";

/** A graph in segments: nodes next to each other that are worked out together. */
export interface CutGraph {
  readonly segments: readonly (readonly Node[])[];
  /** Results that depend on both an input and a parameter. */
  readonly flowing: ReadonlySet<Tensor>;
}

/** A place between two nodes: after the node at `after`, that many bytes are on their way. */
interface Cut {
  readonly after: number;
  readonly bytes: number;
}

/** Limits tried on the size of a segment: from all the graph down, each that much below the one before. */
const LIMIT_STEP = 1.1;
const NUM_LIMITS = 80;

/**
 * Cuts a graph into segments such that little has to be kept if only what lies between them is, and each segment is worked out once
 * more when it is needed: the least sum of what is kept and of the largest segment.
 *
 * Cuts lie where fewer bytes cross than on either side. In a network with a residual stream those are the places where nothing but the stream
 * does; nothing here knows of networks, though. What crosses counts as long as it depends on inputs and on parameters: masks
 * and tables of positions may be used everywhere.
 *
 * @param nodes all that `end` depends on, in order of computation
 */
export function cutGraph(nodes: readonly Node[], end: Tensor): CutGraph {
  const steps = nodes.filter(({ op }) => op);
  const flowing = tensorsBetween(nodes);
  const valleys = findValleys(crossingBytes(steps, flowing, lastUses(steps, end)));
  const ends = [...chooseCuts(valleys, steps.map(nodeBytes)).map((cut) => cut.after + 1), steps.length];
  return { segments: ends.map((stop, i) => steps.slice(ends[i - 1] ?? 0, stop)), flowing };
}

function tensorsBetween(nodes: readonly Node[]): ReadonlySet<Tensor> {
  const [byInput, byParameter] = [new Set<Node>(), new Set<Node>()];
  const flowing = new Set<Tensor>();
  for (const node of nodes) {
    const dependsOn = (found: ReadonlySet<Node>) => node.inputs.some((tensor) => found.has(tensor.node));
    if (node.leaf?.kind === "input" || dependsOn(byInput)) byInput.add(node);
    if (node.leaf?.kind === "parameter" || dependsOn(byParameter)) byParameter.add(node);
    if (node.op && byInput.has(node) && byParameter.has(node))
      for (const output of node.outputs) flowing.add(output);
  }
  return flowing;
}

/** The place of the last node that takes each tensor. */
function lastUses(steps: readonly Node[], end: Tensor): ReadonlyMap<Tensor, number> {
  const uses = new Map<Tensor, number>();
  steps.forEach(({ inputs }, i) => {
    for (const tensor of inputs) uses.set(tensor, i);
  });
  return uses.set(end, steps.length);
}

/** Bytes on their way after each node. */
function crossingBytes(
  steps: readonly Node[],
  flowing: ReadonlySet<Tensor>,
  lastUse: ReadonlyMap<Tensor, number>,
): readonly number[] {
  const changes = new Float64Array(steps.length + 1);
  steps.forEach(({ outputs }, i) => {
    for (const tensor of outputs) {
      const last = lastUse.get(tensor);
      if (last === undefined || !flowing.has(tensor)) continue;
      changes[i]! += tensorBytes(tensor);
      changes[last]! -= tensorBytes(tensor);
    }
  });
  let bytes = 0;
  return steps.map((_, i) => {
    bytes += changes[i]!;
    return bytes;
  });
}

/** The first place of each stretch that fewer bytes cross than the places on either side. */
function findValleys(crossing: readonly number[]): readonly Cut[] {
  const valleys: Cut[] = [];
  let [start, isFalling] = [0, false];
  for (let i = 1; i < crossing.length; i++) {
    const [before, bytes] = [crossing[i - 1]!, crossing[i]!];
    if (bytes < before) [start, isFalling] = [i, true];
    if (bytes > before) {
      if (isFalling) valleys.push({ after: start, bytes: before });
      isFalling = false;
    }
  }
  return valleys;
}

function chooseCuts(valleys: readonly Cut[], sizes: readonly number[]): readonly Cut[] {
  const sums = [0];
  for (const size of sizes) sums.push(sums.at(-1)! + size);
  const total = sums.at(-1)!;
  let best: { readonly cuts: readonly Cut[]; readonly bytes: number } = { cuts: [], bytes: total };
  for (const most of new Set(valleys.map(({ bytes }) => bytes))) {
    const narrow = valleys.filter(({ bytes }) => bytes <= most);
    for (let i = 0; i < NUM_LIMITS; i++) {
      const found = cutsBelow(total / LIMIT_STEP ** i, narrow, sums);
      if (found.bytes < best.bytes) best = found;
    }
  }
  return best.cuts;
}

/** The fewest cuts, from the back, whose segments stay below a limit where that is possible. */
function cutsBelow(limit: number, valleys: readonly Cut[], sums: readonly number[]) {
  const cuts: Cut[] = [];
  let [stop, kept, largest] = [sums.length - 1, 0, 0];
  const close = (start: number) => {
    largest = Math.max(largest, sums[stop]! - sums[start]!);
    stop = start;
  };
  valleys.toReversed().forEach((cut, i, all) => {
    const next = all[i + 1];
    if (sums[stop]! - (next ? sums[next.after + 1]! : 0) <= limit) return;
    cuts.unshift(cut);
    kept += cut.bytes;
    close(cut.after + 1);
  });
  close(0);
  return { cuts, bytes: kept + largest };
}

/** What a node's results take; other shapes of the same numbers take nothing. */
function nodeBytes({ op, outputs }: Node): number {
  return op?.name === "reshape" ? 0 : outputs.reduce((sum, tensor) => sum + tensorBytes(tensor), 0);
}

function tensorBytes({ shape, dtype }: Tensor): number {
  return numElements(staticShape(shape, "recompute")) * BYTES_PER_ELEMENT[dtype];
}
