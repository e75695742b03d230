import type { HostTensor } from "./dtype.ts";

/** A model's parameters by path. */
export type Weights = ReadonlyMap<string, HostTensor>;
