import type { Verb } from "./verb.ts";

/** A verb as the overview shows it; its module, and what that imports, loads only when it is used. */
export interface VerbEntry {
  readonly summary: string;
  readonly load: () => Promise<Verb>;
}

/** Every verb of `plinth`, in the order of the overview. */
export const VERBS: Readonly<Record<string, VerbEntry>> = {
  quickstart: {
    summary: "pretrain a small model on text found here, then adapt it, in under 5 minutes",
    load: async () => (await import("./quickstart.ts")).quickstart,
  },
  pretrain: {
    summary: "train a base model from text, code or both",
    load: async () => (await import("./pretrain.ts")).pretrain,
  },
  adapt: {
    summary: "specialise a base model for a task, cheaply",
    load: async () => (await import("./adapt.ts")).adapt,
  },
  generate: {
    summary: "continue a prompt",
    load: async () => (await import("./generate.ts")).generate,
  },
  chat: {
    summary: "talk with a model that was trained on conversations",
    load: async () => (await import("./chat.ts")).chat,
  },
  summarize: {
    summary: "a text in a few sentences",
    load: async () => (await import("./summarize.ts")).summarize,
  },
  complete: {
    summary: "complete code at a cursor",
    load: async () => (await import("./complete.ts")).complete,
  },
  classify: {
    summary: "which of several labels suits a text",
    load: async () => (await import("./classify.ts")).classify,
  },
  "fill-mask": {
    summary: "what may stand in a gap of a text",
    load: async () => (await import("./fill-mask.ts")).fillMask,
  },
  embed: {
    summary: "a vector for each text, near to those of like texts",
    load: async () => (await import("./embed.ts")).embed,
  },
  tag: {
    summary: "names and other entities in a text",
    load: async () => (await import("./tag.ts")).tag,
  },
  answer: {
    summary: "the stretch of a text that answers a question",
    load: async () => (await import("./answer.ts")).answer,
  },
  score: {
    summary: "how probable a model finds a text, token by token",
    load: async () => (await import("./score.ts")).score,
  },
  eval: {
    summary: "how well a model does a task, beside baselines",
    load: async () => (await import("./eval.ts")).evaluate,
  },
  merge: {
    summary: "a model with an adapter merged into its weights",
    load: async () => (await import("./merge.ts")).merge,
  },
  quantize: {
    summary: "make a model smaller and faster: 4 or 8 bits a weight",
    load: async () => (await import("./quantize.ts")).quantize,
  },
  download: {
    summary: "fetch a model from Hugging Face into the cache",
    load: async () => (await import("./download.ts")).download,
  },
  inspect: {
    summary: "what is in a model, an adapter, a checkpoint or a .safetensors file",
    load: async () => (await import("./inspect.ts")).inspect,
  },
  doctor: {
    summary: "what this machine can do",
    load: async () => {
      const { createDoctor } = await import("./doctor.ts");
      return createDoctor(async () => (await import("./engine-probe.ts")).probeEngine());
    },
  },
};
