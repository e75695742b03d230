/** Workload: opens a model directory, which reads and checks the headers of all its files, and says how long that took. Argument: directory. */
import { openModelDirectory } from "../../dist/hub/model-directory.js";
import { say } from "./serve.mjs";

const start = performance.now();
const { weights } = openModelDirectory(process.argv[2]);
say({ ms: performance.now() - start, tensors: weights.names.length });
