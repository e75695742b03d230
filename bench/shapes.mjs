/**
 * The models of Mistral's family that inference is measured on, by their sizes.
 *
 * @typedef {object} Shape
 * @property {number} layers
 * @property {number} width
 * @property {number} heads
 * @property {number} keyValueHeads
 * @property {number} feedForward
 * @property {number} vocabulary
 * @property {number} context
 * @property {number} [window] a token looks back at so many, itself included
 */

/** @type {Record<"llama-1b" | "mistral-7b" | "small", Shape>} */
export const SHAPES = {
  /** TinyLlama's. */
  "llama-1b": {
    layers: 22,
    width: 2048,
    heads: 32,
    keyValueHeads: 4,
    feedForward: 5632,
    vocabulary: 32000,
    context: 2048,
  },
  "mistral-7b": {
    layers: 32,
    width: 4096,
    heads: 32,
    keyValueHeads: 8,
    feedForward: 14336,
    vocabulary: 32000,
    context: 32768,
    window: 4096,
  },
  /** Small enough for 16k tokens in seconds. */
  small: {
    layers: 4,
    width: 512,
    heads: 8,
    keyValueHeads: 2,
    feedForward: 1408,
    vocabulary: 4096,
    context: 16384,
  },
};
