import { ConfigError } from "../../core/errors.ts";
import { integer, readFields, real } from "../../core/fields.ts";

/** The shape of a GPT-2 model. */
export interface Gpt2Config {
  readonly vocabularySize: number;
  /** Most tokens the model can look at. */
  readonly contextLength: number;
  readonly width: number;
  readonly numLayers: number;
  readonly numHeads: number;
  /** Width of the feed-forward hidden layer; 4 × width in every published model. */
  readonly feedForwardSize: number;
  readonly layerNormEpsilon: number;
}

/**
 * Checks a GPT-2 configuration; the fallbacks are those of the smallest published model.
 *
 * @param where names the configuration in errors
 * @throws {ConfigError} if a key is unknown or out of range, or the width is not a multiple of the heads.
 */
export function gpt2Config(given: Partial<Gpt2Config>, where = "gpt2"): Gpt2Config {
  const width = given.width ?? 768;
  const config = readFields<Gpt2Config>(
    where,
    {
      vocabularySize: integer(1, 2 ** 31 - 1, 50257),
      contextLength: integer(1, 2 ** 31 - 1, 1024),
      width: integer(1, 2 ** 20, 768),
      numLayers: integer(1, 1024, 12),
      numHeads: integer(1, 1024, 12),
      feedForwardSize: integer(1, 2 ** 22, 4 * width),
      layerNormEpsilon: real(0, 1, 1e-5),
    },
    given,
  );
  if (config.width % config.numHeads !== 0) {
    throw new ConfigError({
      where: `${where}.numHeads`,
      expected: `a divisor of width ${config.width}`,
      got: `${config.numHeads}`,
      fix: `Use ${nearestDivisor(config.width, config.numHeads)}, or change the width.`,
    });
  }
  return config;
}

function nearestDivisor(width: number, wanted: number): number {
  for (let step = 0; ; step++) {
    if (wanted - step > 0 && width % (wanted - step) === 0) return wanted - step;
    if (width % (wanted + step) === 0) return wanted + step;
  }
}
