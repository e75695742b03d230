import { DataError, FormatError, PlinthError } from "../../core/errors.ts";
import type { Statement } from "./ast.ts";
import { Budget } from "./budget.ts";
import { Scope } from "./evaluator.ts";
import { makeGlobals } from "./globals.ts";
import { parseTemplate } from "./parse-template.ts";
import { renderBody } from "./statements.ts";
import { TemplateFault, toValue } from "./values.ts";

/** What a template is rendered with besides its variables. */
export interface TemplateOptions {
  /** What `strftime_now` takes for now. */
  readonly now?: Date;
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
  render(variables: Readonly<Record<string, unknown>>, { now = new Date() }: TemplateOptions = {}): string {
    return asPlinthErrors(this.#where, "a template that can be rendered", () => {
      const budget = new Budget(this.#length + measure(variables));
      const scope = new Scope(makeGlobals(now, budget));
      for (const [name, value] of Object.entries(variables)) {
        if (value !== undefined) scope.names.set(name, toValue(value));
      }
      return renderBody(this.#body, scope, budget);
    });
  }
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
