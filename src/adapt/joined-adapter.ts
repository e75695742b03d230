import type { Random } from "../core/random.ts";
import type { HostWeights, Weights } from "../core/weights.ts";
import type { Parameter } from "../nn/scope.ts";
import type { Rule } from "../tensor/rewrite.ts";
import { type Adapter, firstAdapterWeights, type Reading } from "./adapter.ts";

/** Several adapters as one, each on layers of its own: such as LoRA with other ranks on other layers. */
export class JoinedAdapter implements Adapter {
  readonly parts: readonly Adapter[];
  readonly parameters: readonly Parameter[];

  constructor(parts: readonly Adapter[]) {
    this.parts = parts;
    this.parameters = parts.flatMap(({ parameters }) => parameters);
  }

  rule(reading?: Reading): Rule {
    const rules = this.parts.map((part) => part.rule(reading));
    return (node, inputs) => {
      for (const rule of rules) {
        const results = rule(node, inputs);
        if (results) return results;
      }
      return undefined;
    };
  }

  firstWeights(base: Weights, random: Random): HostWeights {
    return new Map(this.parts.flatMap((part) => [...firstAdapterWeights(part, base, random)]));
  }
}
