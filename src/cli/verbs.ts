import type { Verb } from "./verb.ts";

/** A verb as the overview shows it; its module, and what that imports, loads only when it is used. */
export interface VerbEntry {
  readonly summary: string;
  readonly load: () => Promise<Verb>;
}

/** Every verb of `plinth`, in the order of the overview. */
export const VERBS: Readonly<Record<string, VerbEntry>> = {
  doctor: {
    summary: "what this machine can do",
    load: async () => (await import("./doctor.ts")).createDoctor(probeMissingEngine),
  },
};

/** The engine connects its own probe here once it is in the tree. */
async function probeMissingEngine(): Promise<never> {
  throw new Error("the engine is not part of this build");
}
