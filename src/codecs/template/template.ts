import { DataError, FormatError, PlinthError } from "../../core/errors.ts";
import type { Statement } from "./ast.ts";
import { Budget } from "./budget.ts";
import { Scope } from "./evaluator.ts";
import { makeGlobals } from "./globals.ts";
import { GENERATION_FILTER, parseTemplate } from "./parse-template.ts";
import { GENERATION_MARKS, renderBody } from "./statements.ts";
import { fail, TemplateFault, toValue } from "./values.ts";

/** Two code points that Unicode keeps out of all text. */
const MARKS = "\ufdd0\ufdd1";

/** What a template is rendered with besides its variables. */
export interface TemplateOptions {
  /** What `strftime_now` takes for now. */
  readonly now?: Date;
}

/** What a template wrote, and the stretches of it that stand in `{% generation %}` blocks: UTF-16 code units, end exclusive. */
export interface MarkedText {
  readonly text: string;
  readonly generated: readonly (readonly [start: number, end: number])[];
}

/**
 * A Jinja template with Python's meaning: what it writes is, byte for byte, what Hugging Face's Jinja2 sandbox
 * writes. The library `@huggingface/jinja` parses; the evaluation is ours, because the library's prints, compares
 * and calls methods as JavaScript does (docs/decisions/0014).
 *
 * A template is a program from a stranger: every rendering ends, in well under a second and within bounded memory.
 */
export class Template {
  readonly #where: string;
  readonly #length: number;
  readonly #body: readonly Statement[];

  /**
   * @param where names the template in errors
   * @throws {FormatError} if the source cannot be parsed.
   */
  constructor(source: string, where: string) {
    this.#where = where;
    this.#length = source.length;
    this.#body = asPlinthErrors(where, "a Jinja template", () => parseTemplate(source));
  }

  /**
   * @param variables JSON-like data
   * @throws {DataError} with the template's own words if it calls `raise_exception`.
   * @throws {FormatError} if it fails otherwise, or does not come to an end.
   */
  render(variables: Readonly<Record<string, unknown>>, options: TemplateOptions = {}): string {
    return asPlinthErrors(this.#where, "a template that can be rendered", () =>
      this.#run(variables, options),
    );
  }

  /** Whether it says, by `{% generation %}` blocks, what the assistant writes. */
  get marksGenerated(): boolean {
    return hasGeneration(this.#body);
  }

  /**
   * What `render` yields, with the places of its `{% generation %}` blocks.
   *
   * @throws as `render`, and {FormatError} if the template changes what such a block wrote.
   */
  renderMarked(variables: Readonly<Record<string, unknown>>, options: TemplateOptions = {}): MarkedText {
    const text = this.render(variables, options);
    return asPlinthErrors(this.#where, "a template whose generation blocks can be placed", () => {
      if (/[\ufdd0\ufdd1]/.test(text)) fail("the text holds U+FDD0 or U+FDD1, which are no characters");
      const marked = readMarks(this.#run(variables, options, MARKS));
      if (marked.text !== text) fail("it reads or changes what its generation blocks have written");
      return marked;
    });
  }

  #run(
    variables: Readonly<Record<string, unknown>>,
    { now = new Date() }: TemplateOptions,
    marks?: string,
  ): string {
    const budget = new Budget(this.#length + measure(variables));
    const scope = new Scope(makeGlobals(now, budget));
    if (marks !== undefined) scope.names.set(GENERATION_MARKS, marks);
    for (const [name, value] of Object.entries(variables)) {
      if (value !== undefined) scope.names.set(name, toValue(value));
    }
    return renderBody(this.#body, scope, budget);
  }
}

/** Takes the marks out of a text and says where they were; a block in a block is part of it. */
function readMarks(marked: string): MarkedText {
  const generated: [number, number][] = [];
  let depth = 0;
  let text = "";
  for (const part of marked.split(/([\ufdd0\ufdd1])/)) {
    if (part === MARKS[0]) {
      if (depth++ === 0) generated.push([text.length, text.length]);
    } else if (part === MARKS[1]) {
      if (--depth === 0) generated.at(-1)![1] = text.length;
    } else text += part;
  }
  return { text, generated };
}

function hasGeneration(node: unknown): boolean {
  if (typeof node !== "object" || node === null) return false;
  if ("type" in node && node.type === "Identifier" && "value" in node && node.value === GENERATION_FILTER)
    return true;
  return Object.values(node).some(hasGeneration);
}

/** Characters of JSON-like data, roughly: how much work it may cause. */
function measure(data: unknown): number {
  let length = 0;
  const count = (_: string, value: unknown): unknown => {
    length += typeof value === "string" ? value.length : 8;
    return value;
  };
  JSON.stringify(data, count);
  return length;
}

function asPlinthErrors<T>(where: string, expected: string, run: () => T): T {
  try {
    return run();
  } catch (cause) {
    if (cause instanceof PlinthError || !(cause instanceof Error)) throw cause;
    if (cause instanceof TemplateFault && cause.raised) {
      throw new DataError(
        { where, expected: "messages that its template accepts", got: quote(cause.message) },
        { cause },
      );
    }
    const got =
      cause instanceof RangeError ? "one nested too deeply" : `one that fails: ${quote(cause.message)}`;
    throw new FormatError({ where, expected, got }, { cause });
  }
}

/** One line of what may be long and of several lines. */
function quote(message: string): string {
  const line = message.replace(/\s+/g, " ").trim();
  return JSON.stringify(line.length > 300 ? `${line.slice(0, 300)}…` : line);
}
