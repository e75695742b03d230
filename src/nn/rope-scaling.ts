// How rotary frequencies are stretched, so that a model sees further than it was trained to.
// D head width · i index of a pair, in [0, D/2)

/** Rotary positions of one model. */
export interface RopeSettings {
  readonly headSize: number;
  /** Pair i turns by `theta^(−2i/D)` radians a token. */
  readonly theta: number;
  readonly scaling?: RopeScaling;
}

/** One of the published ways of stretching; every number is resolved, none has a fallback. */
export type RopeScaling = LinearScaling | DynamicScaling | Llama3Scaling | YarnScaling;

/** All frequencies divided by one factor (Chen et al. 2023). */
export interface LinearScaling {
  readonly kind: "linear";
  readonly factor: number;
}

/**
 * A larger theta once a sequence is longer than the original context, growing with its length ("NTK-aware"): what
 * was computed before with a shorter length is not computed again.
 */
export interface DynamicScaling {
  readonly kind: "dynamic";
  readonly factor: number;
  /** Tokens the model was trained on. */
  readonly originalContextLength: number;
}

/** Slow pairs divided, fast ones kept, those between blended by wavelength (Llama 3.1). */
export interface Llama3Scaling {
  readonly kind: "llama3";
  readonly factor: number;
  readonly originalContextLength: number;
  /** Pairs that turn fewer times than this over the original context are slow. */
  readonly lowFrequencyFactor: number;
  /** Pairs that turn more often than this are fast. */
  readonly highFrequencyFactor: number;
}

/** Slow pairs divided, fast ones kept, those between blended by index; scores sharpened (Peng et al. 2023, YaRN §3). */
export interface YarnScaling {
  readonly kind: "yarn";
  readonly factor: number;
  readonly originalContextLength: number;
  /** Pairs that turn more often than this over the original context are fast. */
  readonly betaFast: number;
  /** Pairs that turn fewer times than this are slow. */
  readonly betaSlow: number;
  /** Whether the bounds between slow and fast are whole indices. */
  readonly truncate: boolean;
  /** Factor on cosines and sines; its square is the one on scores. */
  readonly attentionFactor: number;
}

/**
 * Radians a token by which each pair turns, in a sequence of that many tokens.
 *
 * In float32 at every step, as the reference implementation computes them: at token 30,000 a frequency that is more exact than
 * the one a model was trained with gives another angle.
 */
export function rotaryFrequencies(settings: RopeSettings, length: number): Float32Array {
  const { headSize, theta, scaling } = settings;
  const base = scaling?.kind === "dynamic" ? dynamicTheta(settings, scaling, length) : theta;
  const plain = Float32Array.from({ length: headSize / 2 }, (_, i) => {
    return 1 / Math.fround(base ** Math.fround((2 * i) / headSize));
  });
  if (!scaling || scaling.kind === "dynamic") return plain;
  if (scaling.kind === "linear") return plain.map((frequency) => frequency / scaling.factor);
  if (scaling.kind === "llama3") return plain.map((frequency) => llama3Frequency(frequency, scaling));
  return yarnFrequencies(plain, settings, scaling);
}

/** Factor on cosines and sines. */
export function rotaryScale({ scaling }: RopeSettings): number {
  return scaling?.kind === "yarn" ? scaling.attentionFactor : 1;
}

function dynamicTheta({ headSize, theta }: RopeSettings, scaling: DynamicScaling, length: number): number {
  const { factor, originalContextLength } = scaling;
  const reach = (factor * Math.max(length, originalContextLength)) / originalContextLength;
  return theta * (reach - (factor - 1)) ** (headSize / (headSize - 2));
}

function llama3Frequency(frequency: number, scaling: Llama3Scaling): number {
  const { factor, originalContextLength, lowFrequencyFactor, highFrequencyFactor } = scaling;
  const turns = (originalContextLength * frequency) / (2 * Math.PI);
  const share = (turns - lowFrequencyFactor) / (highFrequencyFactor - lowFrequencyFactor);
  const kept = Math.min(1, Math.max(0, share));
  return (1 - kept) * (frequency / factor) + kept * frequency;
}

function yarnFrequencies(plain: Float32Array, settings: RopeSettings, scaling: YarnScaling): Float32Array {
  const { headSize, theta } = settings;
  const { factor, originalContextLength, betaFast, betaSlow, truncate } = scaling;
  /** The index, in [0, D/2) and between, whose pair turns that many times over the original context. */
  const indexOf = (turns: number) =>
    (headSize * Math.log(originalContextLength / (turns * 2 * Math.PI))) / (2 * Math.log(theta));
  const [fast, slow] = [indexOf(betaFast), indexOf(betaSlow)];
  const first = Math.max(truncate ? Math.floor(fast) : fast, 0);
  const last = Math.min(truncate ? Math.ceil(slow) : slow, headSize - 1);
  const span = last === first ? 0.001 : last - first;
  return plain.map((frequency, i) => {
    const divided = Math.min(1, Math.max(0, (i - first) / span));
    return (frequency / factor) * divided + frequency * (1 - divided);
  });
}
