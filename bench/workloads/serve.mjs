/** Our side of the protocol in peers/README.md, for any set of commands. */
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";

/**
 * Says ready, then answers each line `command [number]` on stdin with a line of JSON, until `quit`.
 *
 * @param {Record<string, (argument: number) => object | Promise<object>>} commands
 */
export async function serve(commands) {
  say({ ready: true, peer: "plinth" });
  for await (const line of createInterface({ input: process.stdin })) {
    const [command, argument] = line.trim().split(" ");
    if (command === "quit") break;
    if (!Object.hasOwn(commands, command)) {
      throw new Error(`expected ${Object.keys(commands).join(", ")} or quit, got ${JSON.stringify(line)}`);
    }
    say(await commands[command](Number(argument)));
  }
  process.exit(0);
}

export function say(message) {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}

/** Most memory this process has held. Linux counts what its parent held before `exec` in `maxRSS`, but not here. */
export function peakRssBytes() {
  if (process.platform !== "linux") return process.resourceUsage().maxRSS * 1024;
  return Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync("/proc/self/status", "utf8"))[1]) * 1024;
}
