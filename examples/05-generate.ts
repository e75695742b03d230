// A saved model continues text, as it comes, and says how probable it finds some.
//
// usage: 05-generate [model directory] [prompt]    (example 04 saves one at runs/example/model)

import { Decoder, Engine, loadModel, scoredBitsPerByte, scoreTokens, stream } from "plinth";

const [directory = "runs/example/model", prompt = "The model"] = process.argv.slice(2);

const engine = new Engine();
const { model, weights, tokenizer } = loadModel(directory);
if (!tokenizer) throw new Error(`${directory} has no tokenizer.json`);

const decoder = new Decoder(engine, model, weights);
const sampling = { temperature: 0.8, topP: 0.95, seed: 7 };
const words: string[] = [];
for await (const event of stream({ decoder, tokenizer, prompt, maxTokens: 40, sampling })) {
  if (event.type === "text") words.push(event.text); // or write it out at once
}
console.error(prompt + words.join(""));
console.log(decoder.tokens().length > tokenizer.encode(prompt).length); // => true
decoder.dispose();

const [likely, unlikely] = await Promise.all(
  ["A model is an ordinary TypeScript module.", "zqx jvk wpf ¿¿ 00417 qqq zzz"].map(async (text) => {
    const tokens = tokenizer.encode(text);
    return scoredBitsPerByte(tokenizer, tokens, await scoreTokens(engine, model, weights, tokens))!;
  }),
);
console.error(`bits per byte: ${likely!.toFixed(2)} and ${unlikely!.toFixed(2)}`);
console.log(likely! < unlikely!); // => true
