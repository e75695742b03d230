import { EnvironmentError } from "../core/errors.ts";

/** @throws {EnvironmentError} if a measure's loss is not finite. */
export function checkFiniteLoss(lossNats: number): void {
  if (Number.isFinite(lossNats)) return;
  throw new EnvironmentError({
    where: "validation",
    expected: "a finite loss",
    got: `${lossNats}`,
    fix: "The weights have grown too large: lower the learning rate and start again.",
  });
}
