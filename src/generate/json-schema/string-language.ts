import {
  type ByteAutomaton,
  type ByteEdge,
  buildAutomaton,
  intersect,
  type TableAutomaton,
} from "../constraint/byte-automaton.ts";
import { ANY } from "../constraint/code-points.ts";
import { CountedAutomaton } from "../constraint/counted-automaton.ts";
import { nodeAutomaton, regexAutomaton } from "../constraint/regex-automaton.ts";

/** What a string has to be. */
export interface StringRules {
  readonly min: number;
  readonly max: number;
  /** Automata over the string's UTF-8, all of which have to accept it. */
  readonly languages: readonly TableAutomaton[];
}

const RAW = '[^"\\\\\\u0000-\\u001f]';
const HEX = "[0-9A-Fa-f]";
const ESCAPED = `\\\\(?:["\\\\/bfnrt]|u(?:[0-9A-Ca-cE-Fe-f]${HEX}{3}|[Dd][0-7]${HEX}{2}|[Dd][89ABab]${HEX}{2}\\\\u[Dd][C-Fc-f]${HEX}{2}))`;

/** JSON text of any string, with every escape that JSON has. */
export function anyJsonString(where: string): TableAutomaton {
  return regexAutomaton(`"(?:${RAW}|${ESCAPED})*"`, "whole", where)!;
}

/** All strings, as UTF-8. */
export function anyString(where: string): TableAutomaton {
  const part = { kind: "set", set: ANY } as const;
  return nodeAutomaton({ kind: "repeat", part, min: 0, max: Number.POSITIVE_INFINITY }, where)!;
}

/**
 * JSON text of the strings that fit. Where only their length matters, with every escape that JSON has; else each character is written
 * plainly, and escaped only where it must be.
 */
export function jsonStringAutomaton(rules: StringRules, where: string): ByteAutomaton | undefined {
  const { min, max, languages } = rules;
  if (max < min) return undefined;
  if (languages.length === 0 && min === 0 && max === Number.POSITIVE_INFINITY) return anyJsonString(where);
  if (languages.length === 0) {
    return new CountedAutomaton(regexAutomaton(`${RAW}|${ESCAPED}`, "whole", where)!, min, max);
  }
  const language = stringLanguage(rules, where);
  return language && toJsonText(language, where);
}

/** The strings that fit, as an automaton over their UTF-8. */
export function stringLanguage(
  { min, max, languages }: StringRules,
  where: string,
): TableAutomaton | undefined {
  const [first = anyString(where), ...others] = languages;
  let language: TableAutomaton | undefined = first;
  for (const other of others) language = language && intersect(language, other, where);
  return language && limitLength(language, min, max, where);
}

/** Of a language, the strings of `min` to `max` characters. */
function limitLength(
  language: TableAutomaton,
  min: number,
  max: number,
  where: string,
): TableAutomaton | undefined {
  if (min === 0 && max === Number.POSITIVE_INFINITY) return language;
  const cap = max === Number.POSITIVE_INFINITY ? min : max;
  interface State {
    readonly at: number;
    readonly count: number;
  }
  return buildAutomaton<State>(
    {
      start: { at: language.start, count: 0 },
      keyOf: ({ at, count }) => at * (cap + 1) + count,
      edgesOf: ({ at, count }) =>
        language.edgesOf(at).flatMap(({ low, high, to }) => {
          const inside = cut(low, high, 0x80, 0xbf).map((run) => ({ ...run, to: { at: to, count } }));
          if (count >= max) return inside;
          const next = { at: to, count: Math.min(count + 1, cap) };
          const leads = [...cut(low, high, 0, 0x7f), ...cut(low, high, 0xc0, 0xff)];
          return [...inside, ...leads.map((run) => ({ ...run, to: next }))];
        }),
      accepts: ({ at, count }) => language.isAccepting(at) && count >= min,
    },
    where,
  );
}

function cut(low: number, high: number, from: number, to: number): { low: number; high: number }[] {
  const [first, last] = [Math.max(low, from), Math.min(high, to)];
  return first <= last ? [{ low: first, high: last }] : [];
}

/** Characters that JSON escapes, with what follows the backslash. */
const ESCAPES = new Map<number, readonly string[]>([
  [0x22, ['"']],
  [0x5c, ["\\"]],
  ...Array.from({ length: 32 }, (_, code): [number, string[]] => {
    const short = { 8: "b", 9: "t", 10: "n", 12: "f", 13: "r" }[code];
    const long = `u00${code.toString(16).padStart(2, "0")}`;
    return [code, short ? [short, long] : [long]];
  }),
]);

/** JSON text of the strings of a language, in quotes. */
export function toJsonText(language: TableAutomaton, where: string): TableAutomaton | undefined {
  /** `written`: the part of an escape that is there, of those for which the language goes on. */
  interface State {
    readonly at: number | "before" | "after";
    readonly written: string;
  }
  const inside = (at: number): State => ({ at, written: "" });
  const edge = (byte: number, to: State): ByteEdge<State> => ({ low: byte, high: byte, to });
  const escapesOf = (at: number) =>
    [...ESCAPES].flatMap(([byte, texts]) => {
      const to = language.next(at, byte);
      return to < 0 ? [] : texts.map((text) => ({ text: `\\${text}`, to }));
    });
  return buildAutomaton<State>(
    {
      start: { at: "before", written: "" },
      keyOf: ({ at, written }) => `${at} ${written}`,
      edgesOf: ({ at, written }) => {
        if (at === "before") return [edge(0x22, inside(language.start))];
        if (at === "after") return [];
        const edges: ByteEdge<State>[] = [];
        const seen = new Set<string>();
        for (const { text, to } of escapesOf(at)) {
          if (!text.startsWith(written)) continue;
          const next = text.slice(0, written.length + 1);
          if (seen.has(next)) continue;
          seen.add(next);
          edges.push(
            edge(next.charCodeAt(written.length), next === text ? inside(to) : { at, written: next }),
          );
        }
        if (written !== "") return edges;
        if (language.isAccepting(at)) edges.push(edge(0x22, { at: "after", written: "" }));
        for (const { low, high, to } of language.edgesOf(at)) {
          for (const [from, until] of [
            [0x20, 0x21],
            [0x23, 0x5b],
            [0x5d, 0xff],
          ] as const) {
            edges.push(...cut(low, high, from, until).map((run) => ({ ...run, to: inside(to) })));
          }
        }
        return edges;
      },
      accepts: ({ at }) => at === "after",
    },
    where,
  );
}
