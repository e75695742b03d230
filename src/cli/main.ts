#!/usr/bin/env node
import { runProcess } from "./run-process.ts";
import { VERBS } from "./verbs.ts";

await runProcess(VERBS);
