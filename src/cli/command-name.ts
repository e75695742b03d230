import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

/** How this program is called from here: by npm's script inside its own repository, by npx where it is a dependency. */
export function commandName(cwd: string = process.cwd()): string {
  const packageRoot = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
  return resolve(cwd) === resolve(packageRoot) ? "npm run plinth --" : "npx plinth";
}
