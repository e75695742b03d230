import type { HostTensor } from "../core/dtype.ts";
import type { Batch } from "../data/batches.ts";
import { IGNORED_TARGET } from "../data/validation-windows.ts";
import type { Binding } from "../engine/binding.ts";
import type { Engine } from "../engine/engine.ts";
import type { Program } from "../engine/program.ts";
import type { CausalLM } from "../models/contracts.ts";
import { gradients } from "../tensor/gradient.ts";
import { input, type Tensor } from "../tensor/tensor.ts";
import { type ArenaName, BLOCK_SIZE, type ParameterArena } from "./parameter-arena.ts";

export interface BatchShape {
  readonly batchSize: number;
  readonly contextLength: number;
}

/** Mean next-token cross-entropy of a batch, in nats, as a graph over inputs `tokens` and `targets`, both `(B, T)`. */
export function languageModelLoss(
  model: CausalLM,
  { batchSize: B, contextLength: T }: BatchShape,
  labelSmoothing = 0,
): Tensor {
  const tokens = input("tokens", "int32", [B, T]);
  const targets = input("targets", "int32", [B, T]);
  const logits = model.logits(model.hidden(tokens)).reshape([B * T, model.shape.vocabularySize]);
  return logits.crossEntropy(targets.reshape([B * T]), { ignoredLabel: IGNORED_TARGET, labelSmoothing });
}

/** Feeds of one batch for {@link languageModelLoss}. */
export function batchFeeds(batch: Batch, shape: BatchShape): Record<"tokens" | "targets", HostTensor> {
  const ids = (data: Int32Array): HostTensor => ({
    dtype: "int32",
    shape: [shape.batchSize, shape.contextLength],
    data,
  });
  return { tokens: ids(batch.tokens), targets: ids(batch.targets) };
}

/**
 * Loss and gradients of batches, with weights read from and gradients written into an arena. Several batches
 * accumulate: the arena then holds the sum of their gradients.
 */
export class GradientProgram {
  readonly #shape: BatchShape;
  readonly #step: Program;
  readonly #add: Program | undefined;
  readonly #additions: readonly Binding[] = [];

  constructor(
    engine: Engine,
    model: CausalLM,
    arena: ParameterArena,
    options: BatchShape & { readonly labelSmoothing: number; readonly accumulation: number },
  ) {
    this.#shape = options;
    const loss = languageModelLoss(model, options, options.labelSmoothing);
    const wrt = model.parameters.map(({ tensor }) => tensor);
    const outputs: Record<string, Tensor> = { loss };
    gradients(loss, wrt).forEach((gradient, i) => {
      outputs[gradientName(model.parameters[i]!.path)] = gradient;
    });
    this.#step = engine.compile("training step", outputs);
    for (const parameter of model.parameters) {
      if (this.#step.inputs.has(parameter.path)) {
        this.#step.bind(parameter.path, arena.view("weights", parameter));
      }
      const target: ArenaName = options.accumulation > 1 ? "newGradients" : "gradients";
      this.#step.bind(gradientName(parameter.path), arena.view(target, parameter));
    }
    if (options.accumulation > 1) {
      const block = (name: string) => input(name, "float32", [BLOCK_SIZE]);
      const sum = block("gradients").add(block("newGradients"));
      this.#add = engine.compile("accumulate", { sum });
      this.#additions = arena.blocks.map((at) => {
        const binding = this.#add!.newBinding();
        binding.bind("gradients", arena.block("gradients", at));
        binding.bind("newGradients", arena.block("newGradients", at));
        binding.bind("sum", arena.block("gradients", at));
        return binding;
      });
    }
  }

  /** Loss of a batch; its gradients are in the arena afterwards, added to those of the batches before. */
  async run(batch: Batch): Promise<number> {
    const { loss } = await this.#step.run(batchFeeds(batch, this.#shape));
    for (const binding of this.#additions) this.#add!.runSync({}, binding);
    return loss!.data[0] as number;
  }

  dispose(): void {
    this.#step.dispose();
    this.#add?.dispose();
  }
}

function gradientName(path: string): string {
  return `gradient of ${path}`;
}
