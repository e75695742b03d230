import { ConfigError } from "../core/errors.ts";
import { nearest } from "../core/nearest.ts";
import type { CausalLM, Encoder } from "../models/contracts.ts";
import type { Parameter } from "../nn/scope.ts";
import { reachableNodes } from "../tensor/graph.ts";
import { input, type Node, type Tensor } from "../tensor/tensor.ts";

/** A linear layer of a model: what adapters are put on. */
export interface LinearModule {
  /** Its name in the model's own tree, such as `h.0.attn.c_attn`. */
  readonly name: string;
  readonly inSize: number;
  readonly outSize: number;
  /** The weight lies `(out, in)`; as in GPT-2's checkpoints `(in, out)` otherwise. */
  readonly isOutIn: boolean;
  /** It is part of a head, behind the hidden states. */
  readonly isInHead?: true;
}

/** A product with a weight of the model, as its graph records it: `linear` and `matmul` are the operators of linear layers. */
export interface LinearNode {
  readonly module: LinearModule;
  readonly hasBias: boolean;
}

/** Reads a node as a linear layer of the model; `undefined` for all others. */
export function readLinear({ op, inputs, attributes }: Node): LinearNode | undefined {
  const leaf = inputs[1]?.node.leaf;
  if (leaf?.kind !== "parameter" || !leaf.path.endsWith(".weight")) return undefined;
  const isOutIn = transposesWeight(op?.name, attributes);
  if (isOutIn === undefined) return undefined;
  const [rows, columns] = inputs[1]!.shape as readonly [number, number];
  const [inSize, outSize] = isOutIn ? [columns, rows] : [rows, columns];
  const name = leaf.path.slice(0, -".weight".length);
  return { module: { name, inSize, outSize, isOutIn }, hasBias: op!.name === "linear" };
}

function transposesWeight(name: string | undefined, attributes: object): boolean | undefined {
  if (name === "linear") return (attributes as { transposeWeight: boolean }).transposeWeight;
  return name === "matmul" ? (attributes as { transposeB: boolean }).transposeB : undefined;
}

/**
 * The linear layers of a model in the order in which they are met: those between its tokens and its hidden states, then those of
 * its heads. A table of tokens that is read backwards is none.
 */
export function linearModules(model: CausalLM | Encoder): readonly LinearModule[] {
  const body = reachableNodes([traceHidden(model)]);
  const tables = body.filter(({ op }) => op?.name === "gatherRows").map(({ inputs }) => inputs[0]);
  const modules = new Map<string, LinearModule>();
  const gather = (nodes: readonly Node[], isInHead: boolean) => {
    for (const node of nodes) {
      const module = readLinear(node)?.module;
      if (!module || modules.has(module.name) || tables.includes(node.inputs[1])) continue;
      modules.set(module.name, isInHead ? { ...module, isInHead } : module);
    }
  };
  gather(body, false);
  gather(reachableNodes(traceHeads(model)), true);
  return [...modules.values()];
}

/** The parameters that a model's hidden states depend on, in order of their declaration; those of its heads are left out. */
export function bodyParameters(model: CausalLM | Encoder): readonly Parameter[] {
  const leaves = new Set(reachableNodes([traceHidden(model)]));
  return model.parameters.filter(({ tensor }) => leaves.has(tensor.node));
}

function traceHidden(model: CausalLM | Encoder): Tensor {
  const [tokens, segments, mask] = ["tokens", "segments", "mask"].map((name) => input(name, "int32", [1, 1]));
  return "heads" in model
    ? model.hidden({ tokens: tokens!, segments: segments!, mask: mask! })
    : model.hidden(tokens!);
}

function traceHeads(model: CausalLM | Encoder): readonly Tensor[] {
  const hidden = input("hidden", "float32", [1, 1, model.shape.width]); // (B, T, C)
  if (!("heads" in model)) return [model.logits(hidden)];
  const { maskedLogits, pooled, nextSentenceLogits, answerLogits, sequenceClassifier, tokenClassifier } =
    model.heads;
  const ends = answerLogits?.(hidden);
  const vector = pooled?.(hidden);
  return [
    maskedLogits?.(hidden),
    vector,
    vector && nextSentenceLogits?.(vector),
    ends?.start,
    ends?.end,
    sequenceClassifier?.logits(hidden),
    tokenClassifier?.logits(hidden),
  ].filter((tensor) => tensor !== undefined);
}

/** Which linear layers: all but those of heads, those whose name is or ends in one of these, or those that a pattern matches whole. */
export type Targets = "all-linear" | readonly string[] | RegExp;

/**
 * The modules that the targets name: `q_proj` stands for every module of that last name, as PEFT has it.
 *
 * @throws {ConfigError} if one of them, or the pattern, names none; it lists what exists.
 */
export function selectModules(modules: readonly LinearModule[], targets: Targets): readonly LinearModule[] {
  if (targets === "all-linear") return modules.filter(({ isInHead }) => !isInHead);
  if (targets instanceof RegExp) {
    const whole = new RegExp(`^(?:${targets.source})$`, targets.flags.replace(/[gy]/g, ""));
    const matched = modules.filter(({ name }) => whole.test(name));
    if (matched.length === 0) throw unknownTarget(`/${targets.source}/`, modules);
    return matched;
  }
  const isNamed = (name: string, target: string) => name === target || name.endsWith(`.${target}`);
  const unknown = targets.find((target) => !modules.some(({ name }) => isNamed(name, target)));
  if (unknown !== undefined || targets.length === 0) throw unknownTarget(unknown ?? "nothing", modules);
  return modules.filter(({ name }) => targets.some((target) => isNamed(name, target)));
}

function unknownTarget(got: string, modules: readonly LinearModule[]): ConfigError {
  const known = [...new Set(modules.map(({ name }) => name.replace(/^.*\.\d+\./, "")))];
  const near = nearest(
    got,
    known.map((name) => name.split(".").at(-1)!),
  );
  return new ConfigError({
    where: "target modules",
    expected: `linear layers of the model: ${known.join(", ")}`,
    got: `"${got}"`,
    fix: near ? `Did you mean "${near}"?` : `A pattern matches whole names, such as "${modules[0]?.name}".`,
  });
}
