import { allocate, type HostTensor, numElements } from "../core/dtype.ts";
import { ConfigError } from "../core/errors.ts";
import type { Random } from "../core/random.ts";
import { parameter, type Tensor } from "../tensor/tensor.ts";

/** Fills a parameter's first values. */
export type Initializer = (values: Float32Array, random: Random) => void;

/** Normally distributed around zero. */
export function normal(deviation: number): Initializer {
  return (values, random) => {
    for (let i = 0; i < values.length; i++) values[i] = deviation * random.normal();
  };
}

/** Normally distributed around zero; what falls beyond two deviations is drawn again. */
export function truncatedNormal(deviation: number): Initializer {
  return (values, random) => {
    for (let i = 0; i < values.length; i++) {
      let drawn = random.normal();
      while (Math.abs(drawn) > 2) drawn = random.normal();
      values[i] = deviation * drawn;
    }
  };
}

/** The same value everywhere. */
export function filled(value: number): Initializer {
  return (values) => values.fill(value);
}

/** A trainable tensor that a model declares. It owns no memory: describing a large model costs nothing. */
export interface Parameter {
  /** Published tensor name, such as `h.0.attn.c_attn.weight`. */
  readonly path: string;
  readonly shape: readonly number[];
  readonly initialize: Initializer;
  readonly tensor: Tensor;
  /** Of a matrix, the axis that products with it sum over, as well as the one that a looked-up row runs along. */
  readonly sumAxis?: 0 | 1;
}

/**
 * A place in a model's tree of names. Layers declare their parameters here, so that every parameter's path is the
 * name it is published under.
 *
 * @example
 * const root = new Scope();
 * root.at("h.0").parameter("ln_1.weight", [4], filled(1)).path; // => "h.0.ln_1.weight"
 */
export class Scope {
  readonly #prefix: string;
  readonly #declared: Map<string, Parameter>;

  constructor(prefix = "", declared: Map<string, Parameter> = new Map()) {
    this.#prefix = prefix;
    this.#declared = declared;
  }

  /** The scope below this one; an empty name is this one. */
  at(name: string | number): Scope {
    return new Scope(this.#join(`${name}`), this.#declared);
  }

  /** @throws {ConfigError} if the path is taken. */
  parameter(
    name: string,
    shape: readonly number[],
    initialize: Initializer,
    matrix: Pick<Parameter, "sumAxis"> = {},
  ): Parameter {
    const path = this.#join(name);
    if (this.#declared.has(path)) {
      throw new ConfigError({ where: path, expected: "a parameter path used once", got: "it a second time" });
    }
    const declared: Parameter = { path, shape, initialize, tensor: parameter(path, shape), ...matrix };
    this.#declared.set(path, declared);
    return declared;
  }

  /** Every parameter declared in the whole tree, in order of declaration. */
  get parameters(): readonly Parameter[] {
    return [...this.#declared.values()];
  }

  #join(name: string): string {
    return this.#prefix && name ? `${this.#prefix}.${name}` : this.#prefix || name;
  }
}

/** How many numbers the parameters hold. */
export function countParameters(parameters: readonly Parameter[]): number {
  return parameters.reduce((total, { shape }) => total + numElements(shape), 0);
}

/**
 * First values for all parameters. Each draws from its own generator, forked by its path, so that adding a layer
 * changes no other layer's values.
 */
export function initializeParameters(
  parameters: readonly Parameter[],
  random: Random,
): Map<string, HostTensor> {
  return new Map(
    parameters.map(({ path, shape, initialize }) => {
      const data = allocate("float32", numElements(shape)) as Float32Array;
      initialize(data, random.fork(path));
      return [path, { dtype: "float32", shape, data }];
    }),
  );
}
