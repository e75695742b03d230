import { AdaptedDecoder, AdaptedEncoder, type Adapter } from "../../adapt/adapter.ts";
import type { Lora } from "../../adapt/lora.ts";
import { ConfigError } from "../../core/errors.ts";
import { type Field, readFields } from "../../core/fields.ts";
import type { CausalLM, Encoder } from "../../models/contracts.ts";
import type { Parameter } from "../../nn/scope.ts";
import type { TrainOptions } from "../../train/options.ts";

/** Models that can be adapted. */
export type BaseModel = CausalLM | Encoder;

/** A model as a method leaves it, and what of it is trained. */
export interface Fitted<M extends BaseModel> {
  readonly model: M;
  readonly adapter?: Adapter;
  readonly trained: readonly Parameter[];
  /** Some of what the adapter reads is left out in training. */
  readonly dropout?: { readonly lora: Lora; readonly rate: number };
}

/** What a model is made for its task, before a method is chosen: some of it may be new. */
export interface Unfitted<M extends BaseModel> {
  readonly model: M;
  /** A head that the base does not have: trained whatever the method. */
  readonly head: readonly Parameter[];
}

type FieldsOf<T> = { readonly [K in keyof T]-?: Field<Exclude<T[K], undefined>> };

/** How few or many of a model's numbers are trained. */
export interface MethodRecord<S extends object> {
  readonly name: string;
  readonly summary: string;
  /** Settings of its own, under `--set NAME.key=value` with this name; absent where it has none. */
  readonly section?: string;
  readonly fields: FieldsOf<S>;
  /** Training options that suit it, where neither user nor task say anything. */
  readonly train: Partial<TrainOptions>;
  /** The base is quantised to four bits, unless it is already. */
  readonly quantizes?: boolean;
  /** The base's own matrices are trained: it may not be quantised. */
  readonly needsFloats?: boolean;
  /** Places that it takes before every text; default: none. */
  virtualTokens?(settings: S): number;
  apply<M extends BaseModel>(model: Unfitted<M>, settings: S): Fitted<M>;
}

/** What of a record knows the type of its settings. */
type Hidden = "apply" | "fields" | "virtualTokens";

/** A method with its settings, read and checked. */
export interface ChosenMethod {
  readonly record: Omit<MethodRecord<object>, Hidden>;
  readonly settings: object;
  /** Places that it takes before every text. */
  readonly virtualTokens?: number | undefined;
  apply<M extends BaseModel>(model: Unfitted<M>): Fitted<M>;
}

/** A method as the table has it. */
export interface Method extends Omit<MethodRecord<object>, Hidden> {
  readonly keys: readonly string[];
  /** @throws {ConfigError} if a setting is unknown or out of range. */
  choose(input: object): ChosenMethod;
}

/** Hides the type of a method's settings behind its name. */
export function defineMethod<S extends object>(record: MethodRecord<S>): Method {
  const { apply, fields, virtualTokens, ...rest } = record;
  return {
    ...rest,
    keys: Object.keys(fields),
    choose: (input) => {
      const settings = readFields<S>(record.section ?? record.name, fields, input);
      return {
        ...{ record: rest, settings, virtualTokens: virtualTokens?.(settings) },
        apply: (model) => apply(model, settings),
      };
    },
  };
}

/** Puts an adapter on a model; what is trained is the adapter and the head. */
export function withAdapter<M extends BaseModel>({ model, head }: Unfitted<M>, adapter: Adapter): Fitted<M> {
  const adapted: BaseModel =
    "heads" in model ? new AdaptedEncoder(model, adapter) : new AdaptedDecoder(model, adapter);
  // A decoder became a decoder, an encoder an encoder.
  return { model: adapted as M, adapter, trained: [...head, ...adapter.parameters] };
}

/** @throws {ConfigError} unless the model is a decoder. */
export function requireDecoder(method: string, model: BaseModel): CausalLM {
  if (!("heads" in model)) return model;
  throw new ConfigError({
    where: `method ${method}`,
    expected: "a decoder, which reads virtual tokens before the text",
    got: `the encoder family "${model.family}"`,
    fix: "Use lora.",
  });
}
