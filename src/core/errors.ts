/** What a failure has to say: what was expected, what came instead, where, and how to mend it. */
export interface Failure {
  readonly expected: string;
  readonly got: string;
  /** A file, a configuration key, an operator, a tensor name … */
  readonly where: string;
  /** One imperative sentence. */
  readonly fix?: string;
}

/**
 * Base of every error Plinth throws on purpose. The message is one line a user can act on; the parts
 * stay available as data.
 *
 * @example
 * new ConfigError({ where: "numHeads", expected: "a divisor of width 384", got: "5", fix: "Use 6." }).message;
 * // => "numHeads: expected a divisor of width 384, got 5. Use 6."
 */
export abstract class PlinthError extends Error {
  readonly failure: Failure;

  constructor(failure: Failure, options?: ErrorOptions) {
    const fix = failure.fix ? ` ${failure.fix}` : "";
    super(`${failure.where}: expected ${failure.expected}, got ${failure.got}.${fix}`, options);
    this.name = new.target.name;
    this.failure = failure;
  }
}

/** A shape, rank or dtype that an operator or layer cannot take. */
export class ShapeError extends PlinthError {}

/** A configuration key or command-line option that is unknown or out of range. */
export class ConfigError extends PlinthError {}

/** Text, token or dataset input that cannot be used as it is. */
export class DataError extends PlinthError {}

/** A file that is not what it claims to be: truncated, altered or malformed. */
export class FormatError extends PlinthError {}

/** The machine said no: a missing library, a full disk, a lock held by another run. */
export class EnvironmentError extends PlinthError {}
