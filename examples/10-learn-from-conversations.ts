// Learning from conversations: only what the assistant writes counts, and conversations that share a row do not see one another.

import {
  ChatTemplate,
  Engine,
  Gpt2,
  gpt2Config,
  initializeParameters,
  Random,
  trainCharTokenizer,
} from "plinth";
import { chatRow, PackedNextToken, rowStream } from "plinth/adapt";
import { GradientProgram, NextToken, ParameterArena } from "plinth/train";

const conversations = [
  ["What is 2 + 2?", "4"],
  ["Say hello in French.", "bonjour"],
  ["Count to three.", "one two three"],
].map(([question, answer]) => ({
  messages: [
    { role: "user", content: question! },
    { role: "assistant", content: answer! },
  ],
}));

const template = new ChatTemplate({
  sources: {
    default: `{% for m in messages %}{{ m.role }}: {{ m.content }}{{ '<|endoftext|>' if m.role == 'assistant' }}
{% endfor %}{{ 'assistant: ' if add_generation_prompt }}`,
  },
});
const texts = conversations.map(({ messages }) => template.render(messages));
const tokenizer = trainCharTokenizer(texts);
const rows = conversations.map((conversation) => chatRow(tokenizer, template, conversation));

const learnt = rows.map(({ tokens, learnt }) =>
  tokenizer.decode(
    tokens.filter((_, i) => learnt[i] === 1),
    { skipSpecial: false },
  ),
);
console.log(learnt.join(" ")); // => 4<|endoftext|> bonjour<|endoftext|> one two three<|endoftext|>

// The same three examples, each in a row of its own, and one after the other in one row.
const engine = new Engine();
const model = new Gpt2(
  gpt2Config({
    width: 32,
    numLayers: 2,
    numHeads: 2,
    vocabularySize: tokenizer.vocabularySize,
    contextLength: 256,
  }),
);
const arena = new ParameterArena(model.parameters);
for (const [path, { data }] of initializeParameters(model.parameters, new Random(1))) {
  arena
    .weights()
    .get(path)!
    .data.set(data as never);
}

async function lossOf(pack: boolean): Promise<string> {
  const stream = rowStream(rows, { batchSize: 3, contextLength: 136, maxBuckets: 1, seed: 1, pack });
  const batch = await stream.next();
  const objective = pack ? new PackedNextToken(model) : new NextToken(model);
  const program = new GradientProgram(engine, objective, arena, { labelSmoothing: 0 });
  const lossNats = await program.run([batch]);
  program.dispose();
  return `${batch.inputs.tokens!.shape.join(" × ")} tokens, ${lossNats.toFixed(3)} nats`;
}

console.log(await lossOf(false)); // => 3 × 48 tokens, 3.559 nats
console.log(await lossOf(true)); // => 1 × 136 tokens, 3.559 nats
