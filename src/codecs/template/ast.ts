/*
 * The parts of the tree that `@huggingface/jinja` makes which the evaluator reads. The package does not export
 * these types, so they are written down here; `parse-template.ts` is where its tree becomes one of ours.
 */

/** A named value: `f(x, sep=", ")`, or a macro's parameter with its default. */
export interface KeywordNode {
  readonly type: "KeywordArgumentExpression";
  readonly key: IdentifierNode;
  readonly value: Expression;
}

/** A name. */
export interface IdentifierNode {
  readonly type: "Identifier";
  readonly value: string;
}

/** `callee(args)`. */
export interface CallNode {
  readonly type: "CallExpression";
  readonly callee: Expression;
  readonly args: readonly Argument[];
}

/** What may stand between the parentheses of a call. */
export type Argument =
  | Expression
  | KeywordNode
  | { readonly type: "SpreadExpression"; readonly argument: Expression }
  | { readonly type: "KeywordSpreadExpression"; readonly argument: Expression };

/** A name with or without arguments, after `|`. */
export type FilterNode = IdentifierNode | CallNode;

/** What a macro or a call block takes. */
export type ParameterNode = IdentifierNode | KeywordNode;

/** `object.property` or `object[property]`. */
export interface MemberNode {
  readonly type: "MemberExpression";
  readonly object: Expression;
  readonly property: Expression | SliceNode;
  readonly computed: boolean;
}

/** `start:stop:step`. */
export interface SliceNode {
  readonly type: "SliceExpression";
  readonly start: Expression | undefined;
  readonly stop: Expression | undefined;
  readonly step: Expression | undefined;
}

/** `a if condition`, and the head of `for x in xs if condition`. */
export interface SelectNode {
  readonly type: "SelectExpression";
  readonly lhs: Expression;
  readonly test: Expression;
}

/** `left operator right`. */
export interface BinaryNode {
  readonly type: "BinaryExpression";
  readonly operator: { readonly value: string };
  readonly left: Expression;
  readonly right: Expression;
}

/** `a, b` and `(a, b)`. */
export interface TupleNode {
  readonly type: "TupleLiteral";
  readonly value: readonly Expression[];
}

/** `operand | filter`. */
export interface FilterExpressionNode {
  readonly type: "FilterExpression";
  readonly operand: Expression;
  readonly filter: FilterNode;
}

/** `operand is test`; tests with arguments arrive as filters, see `parse-template.ts`. */
export interface TestNode {
  readonly type: "TestExpression";
  readonly operand: Expression;
  readonly negate: boolean;
  readonly test: IdentifierNode;
}

/** What has a value. */
export type Expression =
  | IdentifierNode
  | CallNode
  | MemberNode
  | SelectNode
  | BinaryNode
  | TupleNode
  | FilterExpressionNode
  | TestNode
  | { readonly type: "IntegerLiteral" | "FloatLiteral"; readonly value: number }
  | { readonly type: "StringLiteral"; readonly value: string }
  | { readonly type: "ArrayLiteral"; readonly value: readonly Expression[] }
  | { readonly type: "ObjectLiteral"; readonly value: ReadonlyMap<Expression, Expression> }
  | {
      readonly type: "UnaryExpression";
      readonly operator: { readonly value: string };
      readonly argument: Expression;
    }
  | {
      readonly type: "Ternary";
      readonly condition: Expression;
      readonly trueExpr: Expression;
      readonly falseExpr: Expression;
    };

/** `{% if %}`; `elif` is an `if` in the alternate. */
export interface IfNode {
  readonly type: "If";
  readonly test: Expression;
  readonly body: readonly Statement[];
  readonly alternate: readonly Statement[];
}

/** `{% for %}`. */
export interface ForNode {
  readonly type: "For";
  readonly loopvar: Expression;
  readonly iterable: Expression;
  readonly body: readonly Statement[];
  readonly defaultBlock: readonly Statement[];
}

/** `{% set %}`, with a value or a body. */
export interface SetNode {
  readonly type: "Set";
  readonly assignee: Expression;
  readonly value: Expression | null;
  readonly body: readonly Statement[];
}

/** `{% macro %}`. */
export interface MacroNode {
  readonly type: "Macro";
  readonly name: IdentifierNode;
  readonly args: readonly ParameterNode[];
  readonly body: readonly Statement[];
}

/** `{% call %}`. */
export interface CallStatementNode {
  readonly type: "CallStatement";
  readonly call: CallNode;
  readonly callerArgs: readonly ParameterNode[] | null;
  readonly body: readonly Statement[];
}

/** What stands in a body: text and `{{ … }}` are expressions whose value is written. */
export type Statement =
  | Expression
  | IfNode
  | ForNode
  | SetNode
  | MacroNode
  | CallStatementNode
  | { readonly type: "FilterStatement"; readonly filter: FilterNode; readonly body: readonly Statement[] }
  | { readonly type: "Break" | "Continue" | "Comment" };
