/** Workload: the rate of a 1024³ product, for half a second or so. Main measures it before and after each benchmark. */
import { Engine } from "../../dist/engine/engine.js";
import { createProduct } from "./product.mjs";
import { say } from "./serve.mjs";

say({ gflops: await createProduct(new Engine({ threads: 2 }))(30) });
process.exit(0);
