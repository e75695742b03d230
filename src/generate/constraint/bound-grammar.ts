import { intersect, type TableAutomaton } from "./byte-automaton.ts";
import { CountedAutomaton } from "./counted-automaton.ts";
import type { Grammar, GrammarRule } from "./grammar.ts";
import { nodeAutomaton } from "./regex-automaton.ts";
import { Terminal } from "./terminal.ts";
import type { TokenVocabulary } from "./token-vocabulary.ts";

/** Part of a grammar over a vocabulary. */
export type GrammarNode = NodeBase &
  (
    | { readonly kind: "terminal"; readonly terminal: Terminal }
    | { readonly kind: "empty" }
    | { readonly kind: "pair"; readonly first: GrammarNode; readonly rest: GrammarNode }
    | { readonly kind: "choice"; readonly parts: readonly GrammarNode[] }
    | { readonly kind: "repeat"; readonly part: GrammarNode; readonly min: number; readonly max: number }
    | { readonly kind: "rule"; body: GrammarNode | undefined }
  );

interface NodeBase {
  readonly id: number;
  /** So many tokens are enough for it; infinite if nothing fits. */
  cost: number;
}

type NodeParts<N = GrammarNode> = N extends NodeBase ? Omit<N, "id" | "cost"> : never;

/** A {@link Grammar} over a vocabulary: its automata know tokens, its parts what it takes to complete them. */
export class BoundGrammar {
  readonly root: GrammarNode;
  readonly #vocabulary: TokenVocabulary;
  readonly #texts: TableAutomaton | undefined;
  readonly #nodes: GrammarNode[] = [];
  readonly #known = new Map<Grammar, GrammarNode>();
  readonly #repeats = new Map<string, GrammarNode>();
  #numTerminals = 0;

  constructor(grammar: Grammar, vocabulary: TokenVocabulary) {
    this.#vocabulary = vocabulary;
    this.#texts = textsWrittenIn(vocabulary);
    this.root = this.#bind(grammar);
    this.#settleCosts();
  }

  /** A repetition with one round less to go. */
  afterRound(node: GrammarNode & { kind: "repeat" }): GrammarNode {
    return this.#repeat(node.part, Math.max(0, node.min - 1), node.max - 1);
  }

  /** Rules are followed one after another, so that a chain of them is not too deep for the stack. */
  #bind(grammar: Grammar): GrammarNode {
    const rules: [GrammarRule, GrammarNode & { kind: "rule" }][] = [];
    const visit = (part: Grammar): GrammarNode => {
      const known = this.#known.get(part);
      if (known) return known;
      const node =
        part.kind === "rule" ? this.#add({ kind: "rule", body: undefined }) : this.#bindPart(part, visit);
      this.#known.set(part, node);
      if (part.kind === "rule" && node.kind === "rule") rules.push([part, node]);
      return node;
    };
    const root = visit(grammar);
    for (const [rule, node] of rules) node.body = visit(rule.body); // grows while it is read
    return root;
  }

  #bindPart(part: Exclude<Grammar, GrammarRule>, visit: (part: Grammar) => GrammarNode): GrammarNode {
    if (part.kind === "choice") return this.#add({ kind: "choice", parts: part.parts.map(visit) });
    if (part.kind === "repeat") return this.#repeat(visit(part.part), part.min, part.max);
    if (part.kind === "sequence") {
      let rest = this.#add({ kind: "empty" });
      for (const item of part.parts.toReversed())
        rest = this.#add({ kind: "pair", first: visit(item), rest });
      return rest;
    }
    const automaton = this.#texts ? restrict(part.automaton as TableAutomaton, this.#texts) : part.automaton;
    if (!automaton) return this.#add({ kind: "choice", parts: [] });
    const terminal = new Terminal(this.#numTerminals++, automaton, this.#vocabulary);
    return this.#add({ kind: "terminal", terminal });
  }

  #repeat(part: GrammarNode, min: number, max: number): GrammarNode {
    const key = `${part.id},${min},${max}`;
    const known = this.#repeats.get(key);
    if (known) return known;
    const node = this.#add({ kind: "repeat", part, min, max });
    node.cost = costOf(node);
    this.#repeats.set(key, node);
    return node;
  }

  #add(parts: NodeParts): GrammarNode {
    const node = { ...parts, id: this.#nodes.length, cost: Number.POSITIVE_INFINITY } as GrammarNode;
    this.#nodes.push(node);
    return node;
  }

  /** Costs of parts that contain each other: from above, until none falls any more. */
  #settleCosts(): void {
    for (let isSettled = false; !isSettled; ) {
      isSettled = true;
      for (const node of this.#nodes) {
        const cost = costOf(node);
        if (cost >= node.cost) continue;
        node.cost = cost;
        isSettled = false;
      }
    }
  }
}

function costOf(node: GrammarNode): number {
  if (node.kind === "empty") return 0;
  if (node.kind === "terminal") return node.terminal.cost(node.terminal.start);
  if (node.kind === "pair") return node.first.cost + node.rest.cost;
  if (node.kind === "choice")
    return node.parts.reduce((least, { cost }) => Math.min(least, cost), Number.POSITIVE_INFINITY);
  if (node.kind === "rule") return node.body?.cost ?? Number.POSITIVE_INFINITY;
  return node.min === 0 ? 0 : node.min * node.part.cost;
}

/** All that the vocabulary's characters can spell, where it cannot spell everything. */
function textsWrittenIn({ characters }: TokenVocabulary): TableAutomaton | undefined {
  if (!characters) return undefined;
  const part = { kind: "set", set: characters } as const;
  return nodeAutomaton({ kind: "repeat", part, min: 0, max: Number.POSITIVE_INFINITY }, "vocabulary");
}

function restrict(
  automaton: TableAutomaton | CountedAutomaton,
  texts: TableAutomaton,
): TableAutomaton | CountedAutomaton | undefined {
  if (automaton instanceof CountedAutomaton) return automaton.restrictedTo(texts, "vocabulary");
  return intersect(automaton, texts, "vocabulary");
}
