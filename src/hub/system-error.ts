import { EnvironmentError } from "../core/errors.ts";

/** An error the operating system reported for a file operation. */
export interface SystemError extends Error {
  readonly code: string;
  readonly syscall: string;
}

const FIXES: Readonly<Record<string, string>> = {
  ENOENT: "Check the path.",
  EACCES: "Check the permissions.",
  EPERM: "Check the permissions.",
  EROFS: "Choose a writable place.",
  ENOSPC: "Free some space or choose another disk.",
  EDQUOT: "Free some space or choose another disk.",
  EIO: "Check the disk.",
  EMFILE: "Raise the limit on open files.",
};

/** True for what `node:fs` throws when a system call fails. */
export function isSystemError(error: unknown): error is SystemError {
  return error instanceof Error && "code" in error && "syscall" in error && typeof error.code === "string";
}

/**
 * Runs file operations; when the system refuses one, says so in our terms. Other errors pass unchanged.
 *
 * @param where    the file or directory, as the user knows it
 * @param expected what should have been possible, e.g. "a readable file"
 * @throws {EnvironmentError} in place of a system error.
 */
export function withSystemErrors<T>(where: string, expected: string, operation: () => T): T {
  try {
    return operation();
  } catch (cause) {
    if (!isSystemError(cause)) throw cause;
    const fix = FIXES[cause.code];
    const failure = { where, expected, got: describeSystemError(cause) };
    throw new EnvironmentError(fix === undefined ? failure : { ...failure, fix }, { cause });
  }
}

/** `ENOSPC: no space left on device (write)`: the message without the paths, which the caller names. */
export function describeSystemError(error: SystemError): string {
  const reason = error.message.split(", ", 1)[0]!;
  return `${reason} (${error.syscall})`;
}
