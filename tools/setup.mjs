#!/usr/bin/env node
// Makes a fresh clone ready: installs the locked packages and builds, each only when it has to.
// Install scripts stay off: ONNX Runtime's would download a GPU library that nothing here uses, and fail offline.

import { execSync } from "node:child_process";
import { existsSync, readdirSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const [major, minor] = process.versions.node.split(".").map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  console.error(`plinth: expected Node 20.19 or newer, got ${process.versions.node}. Install a newer Node.`);
  process.exit(1);
}

const run = (command) => {
  console.error(`> ${command}`);
  // stdout of a command must stay clean for results, so everything that only informs goes to stderr.
  execSync(command, {
    cwd: root,
    stdio: ["ignore", 2, 2],
    env: { ...process.env, ONNXRUNTIME_NODE_INSTALL: "skip" },
  });
};

const newest = (path) =>
  statSync(path).isDirectory()
    ? Math.max(0, ...readdirSync(path).map((name) => newest(join(path, name))))
    : statSync(path).mtimeMs;
const changedAt = (...path) => (existsSync(join(root, ...path)) ? newest(join(root, ...path)) : 0);

try {
  if (changedAt("node_modules", ".package-lock.json") < changedAt("package-lock.json")) {
    run("npm ci --ignore-scripts --no-audit --no-fund");
  }
  const sources = Math.max(
    changedAt("src"),
    changedAt("package-lock.json"),
    changedAt("tsconfig.build.json"),
  );
  if (changedAt("dist") < sources) {
    run("npm run --silent build");
  }
} catch (error) {
  console.error(`plinth: setting up failed (${error.message.split("\n")[0]}). The lines above say why.`);
  process.exit(1);
}
