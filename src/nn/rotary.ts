import type { HostTensor } from "../core/dtype.ts";
import type { Dim } from "../core/shape.ts";
import { constant, type Tensor } from "../tensor/tensor.ts";
import { type DynamicScaling, type RopeSettings, rotaryFrequencies, rotaryScale } from "./rope-scaling.ts";

// B batch · T tokens · H heads · D head width · M rows of a table

/** Turns queries or keys `(B, T, H·D)` by their positions. */
export type Turn = (x: Tensor) => Tensor;

/**
 * Numbers in the table of a cached program, contexts × head width: 32 MB. Longer contexts take their angles as they come, which
 * costs each layer a few small steps more.
 */
const LARGEST_TABLE = 2 ** 23;

/**
 * Rotary positions (Su et al. 2021) for all layers of a model, pairs half a head apart as published on Hugging Face. Its tables
 * are made when a graph is first recorded: describing a model costs nothing.
 */
export class Rotary {
  readonly #settings: RopeSettings;
  /** Tables of the rows last asked for: the layers of one graph share them. */
  #tables: { readonly rows: number; readonly cos: Tensor; readonly sin: Tensor } | undefined;

  constructor(settings: RopeSettings) {
    this.#settings = settings;
  }

  /** For whole sequences of that many tokens. */
  whole(length: number): Turn {
    const { cos, sin } = this.#tablesOf(length);
    return (x) => x.rotary(cos, sin, { layout: "half" });
  }

  /** For tokens at `positions` `(B, T)`, each below `contextLength`. */
  at(positions: Tensor, contextLength: number): Turn {
    const { scaling, headSize } = this.#settings;
    const places = positions.cast("float32"); // (B, T)
    if (scaling?.kind === "dynamic") return this.#byAngles(places, this.#dynamicFrequencies(places, scaling));
    if (contextLength * headSize > LARGEST_TABLE) {
      const frequencies = rotaryFrequencies(this.#settings, contextLength);
      return this.#byAngles(places, constant(table([headSize / 2], frequencies)));
    }
    const { cos, sin } = this.#tablesOf(contextLength);
    return (x) => x.rotary(cos, sin, { layout: "half" }, positions);
  }

  #tablesOf(rows: number) {
    if (this.#tables?.rows !== rows) this.#tables = { rows, ...rotaryTables(this.#settings, rows) };
    return this.#tables;
  }

  /** In a sequence that is by now as long as its furthest place says: no table can know that. */
  #dynamicFrequencies(places: Tensor, { factor, originalContextLength }: DynamicScaling): Tensor {
    const { headSize, theta } = this.#settings;
    const length = places.max().add(1).maximum(originalContextLength);
    const reach = length.mul(factor / originalContextLength).sub(factor - 1);
    const growth = reach.log().mul(headSize / (headSize - 2));
    const exponents = Float32Array.from({ length: headSize / 2 }, (_, i) => (-2 * i) / headSize);
    return constant(table([headSize / 2], exponents))
      .mul(growth.add(Math.log(theta)))
      .exp(); // (D/2)
  }

  #byAngles(places: Tensor, frequencies: Tensor): Turn {
    const { headSize } = this.#settings;
    const scale = rotaryScale(this.#settings);
    const [B, T] = places.shape as [Dim, Dim];
    const angles = places.reshape([B, T, 1, 1]).mul(frequencies); // (B, T, 1, D/2)
    const [cos, sin] = [angles.cos().mul(scale), angles.sin().mul(scale)];
    return (x) => {
      const C = x.shape[2] as number;
      const heads = x.reshape([B, T, C / headSize, headSize]); // (B, T, H, D)
      const [a, b] = heads.split([headSize / 2, headSize / 2], 3) as [Tensor, Tensor];
      const turned = a.mul(cos).sub(b.mul(sin));
      return turned.concat([b.mul(cos).add(a.mul(sin))], 3).reshape([B, T, C]);
    };
  }
}

/** Cosines and sines of the angles of `rows` positions from 0 on, each `(rows, D/2)`. */
function rotaryTables(settings: RopeSettings, rows: number): { readonly cos: Tensor; readonly sin: Tensor } {
  const frequencies = rotaryFrequencies(settings, rows);
  const scale = rotaryScale(settings);
  const pairs = frequencies.length;
  const shape = [rows, pairs];
  const fill = (of: (angle: number) => number) => {
    const values = new Float32Array(rows * pairs);
    for (let i = 0; i < values.length; i++) {
      // The product in float32, too: that is the angle the reference implementation turns by.
      const angle = Math.fround(Math.floor(i / pairs) * frequencies[i % pairs]!);
      values[i] = scale * of(angle);
    }
    return constant(table(shape, values));
  };
  return { cos: fill(Math.cos), sin: fill(Math.sin) };
}

function table(shape: readonly number[], data: Float32Array): HostTensor {
  return { dtype: "float32", shape, data };
}
