/** Constants of ONNX Runtime's arena for CPU memory (`bfc_arena.h`). */
const UNIT_BYTES = 256;
const FIRST_REGION_BYTES = 2 ** 20;
const LARGEST_GROWTH_BYTES = 2 ** 30;
const MOST_WASTED_BYTES = 128 * 2 ** 20;

/** A stretch of a region, free or not. */
interface Chunk {
  readonly region: Region;
  start: number;
  size: number;
  isFree: boolean;
}

interface Region {
  /** In order, without gaps. */
  readonly chunks: Chunk[];
  /** Up to where something has ever lain: the rest takes no memory of the machine. */
  touched: number;
}

/** Memory that was given out, to give back. */
export type Allocation = Chunk;

/**
 * The runtime's memory allocator, without the memory: best fit in regions, each twice as large as the one before, which are never given back. What it
 * wastes is what results that differ in size leave between each other, and often as much again as a graph needs at least.
 */
export class RuntimeArena {
  readonly #regions: Region[] = [];
  #nextRegion = FIRST_REGION_BYTES;

  /** Bytes that have been used at one time or another. */
  get touchedBytes(): number {
    return this.#regions.reduce((sum, { touched }) => sum + touched, 0);
  }

  allocate(bytes: number): Allocation {
    const size = Math.max(1, Math.ceil(bytes / UNIT_BYTES)) * UNIT_BYTES;
    const chunk = this.#bestFit(size) ?? this.#extend(size);
    if (chunk.size >= 2 * size || chunk.size - size >= MOST_WASTED_BYTES) split(chunk, size);
    chunk.isFree = false;
    chunk.region.touched = Math.max(chunk.region.touched, chunk.start + size);
    return chunk;
  }

  free(chunk: Allocation): void {
    chunk.isFree = true;
    const { chunks } = chunk.region;
    const at = chunks.indexOf(chunk);
    const next = chunks[at + 1];
    if (next?.isFree) {
      chunk.size += next.size;
      chunks.splice(at + 1, 1);
    }
    const before = chunks[at - 1];
    if (!before?.isFree) return;
    before.size += chunk.size;
    chunks.splice(at, 1);
  }

  /** The smallest free chunk that is large enough; of several the first. */
  #bestFit(size: number): Chunk | undefined {
    let best: Chunk | undefined;
    for (const { chunks } of this.#regions) {
      for (const chunk of chunks) {
        if (chunk.isFree && chunk.size >= size && (!best || chunk.size < best.size)) best = chunk;
      }
    }
    return best;
  }

  #extend(size: number): Chunk {
    const isLargeEnough = size <= this.#nextRegion;
    while (size > this.#nextRegion) this.#nextRegion *= 2;
    const region: Region = { chunks: [], touched: 0 };
    const chunk = { region, start: 0, size: this.#nextRegion, isFree: true };
    region.chunks.push(chunk);
    this.#regions.push(region);
    if (isLargeEnough && this.#nextRegion < LARGEST_GROWTH_BYTES) this.#nextRegion *= 2;
    return chunk;
  }
}

function split(chunk: Chunk, size: number): void {
  const { region, start } = chunk;
  const rest = { region, start: start + size, size: chunk.size - size, isFree: true };
  chunk.size = size;
  region.chunks.splice(region.chunks.indexOf(chunk) + 1, 0, rest);
}
