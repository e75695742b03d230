// One decoder writes several texts side by side, looks for the likeliest one, and writes only what a pattern allows.
//
// usage: 08-many-texts [model directory]    (example 04 saves one at runs/example/model)

import {
  beamSearch,
  compileConstraint,
  Decoder,
  Engine,
  generate,
  generateBatch,
  loadModel,
  TokenVocabulary,
} from "plinth";

const [directory = "runs/example/model"] = process.argv.slice(2);
const { model, weights, tokenizer } = loadModel(directory);
if (!tokenizer) throw new Error(`${directory} has no tokenizer.json`);
const decoder = new Decoder(new Engine(), model, weights, { rows: 4 });

// Prompts of any lengths, two texts of each; what one becomes does not depend on the others.
const prompts = ["A model", "The gradient of a function is"];
const texts = await generateBatch({ decoder, tokenizer, prompts, numSamples: 2, maxTokens: 12 });
const alone = await generate({ decoder, tokenizer, prompt: prompts[1]!, maxTokens: 12 });
console.log(texts.map((samples) => samples.length).join(" and ")); // => 2 and 2
console.log(texts[1]![0]!.text === alone.text); // => true

// The four rows become four beams.
const [best, second] = await beamSearch({ decoder, tokenizer, prompt: "A model", maxTokens: 8, numTexts: 2 });
console.error(best!.text);
console.log(best!.score >= second!.score); // => true

// However little the model knows, the text matches.
const constraint = compileConstraint({ regex: "[0-9]{4}-[0-9]{2}-[0-9]{2}" }, new TokenVocabulary(tokenizer));
const date = await generate({ decoder, tokenizer, prompt: "Released on ", maxTokens: 20, constraint });
console.log(/^\d{4}-\d{2}-\d{2}$/.test(date.text)); // => true
decoder.dispose();
