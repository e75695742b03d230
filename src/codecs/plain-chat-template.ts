import { ChatTemplate } from "./chat-template.ts";
import type { Tokenizer } from "./tokenizer.ts";

const TOOLS = `{%- if tools %}
    {{- 'tools:\\n' }}
    {%- for tool in tools %}
        {{- tool | tojson + '\\n' }}
    {%- endfor %}
    {{- '\\n' }}
{%- endif %}
`;

/** A line break after the role is a token of its own for all common tokenizers: a prompt ends where a turn begins. */
const MESSAGES = `{%- for message in messages %}
    {{- message.role + ':\\n' }}
    {%- if message.role == 'assistant' %}
        {%- generation %}
        {%- if message.content %}
            {{- message.content }}
        {%- endif %}
        {%- for call in message.tool_calls or [] %}
            {{- '\\n' if message.content or not loop.first }}
            {{- {'name': call.function.name, 'arguments': call.function.arguments} | tojson }}
        {%- endfor %}
        {{- END }}
        {%- endgeneration %}
    {%- else %}
        {{- message.content }}
    {%- endif %}
    {{- '\\n\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- 'assistant:\\n' }}
{%- endif %}
`;

/**
 * A chat template for a base that has none: roles on lines of their own, tools in front, each turn of the assistant closed by the
 * tokenizer's end of text and marked by `{% generation %}`. As plain as that, it needs no tokens that a base has never seen.
 *
 * @returns the source, for `chat_template.jinja`
 * @throws {DataError} if the tokenizer has no end of text.
 */
export function plainChatSource(tokenizer: Tokenizer): string {
  const { specials, endOfTextId } = tokenizer;
  const literal = (text: string) => JSON.stringify(text);
  const end = tokenizer.tokenText(specials.eos ?? endOfTextId);
  // Templates are encoded without the tokens that the tokenizer puts around texts.
  const begin = specials.bos !== undefined && tokenizer.encodeInput("").ids[0] === specials.bos;
  const start = begin ? `{{- ${literal(tokenizer.tokenText(specials.bos!))} }}\n` : "";
  return start + TOOLS + MESSAGES.replace("END", literal(end));
}

/** {@link plainChatSource}, ready to render. */
export function plainChatTemplate(tokenizer: Tokenizer): ChatTemplate {
  return new ChatTemplate({
    sources: { default: plainChatSource(tokenizer) },
    where: "the plain chat template",
  });
}
