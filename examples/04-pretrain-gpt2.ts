// From text to a model directory: a very small GPT-2 on this repository's own prose, a few seconds. More steps and a larger
// model make better text; `plinth pretrain` does the same with a live display.
//
// usage: 04-pretrain-gpt2 [directory] [path…]

import { Engine, parseSource, pretrain, readRecipe, showQuality } from "plinth";

const [directory = "runs/example", ...paths] = process.argv.slice(2);

const run = await pretrain({
  engine: new Engine(),
  recipe: readRecipe({
    tokenizer: { kind: "bpe", vocabularySize: 512 },
    corpus: { splitBy: "tail", validationFraction: 0.1 },
    model: { width: 64, numLayers: 2, numHeads: 4 },
    train: {
      steps: 150,
      batchSize: 8,
      contextLength: 64,
      learningRate: 5e-3,
      validateEvery: 50,
      saveEvery: 75,
      sampleEvery: 150,
    },
  }),
  sources: [parseSource(paths.length > 0 ? paths.join(",") : "*.md,docs,tools/golden/README.md")],
  directory,
  resume: false,
  machine: `Node ${process.versions.node}`,
  samplePrompt: "The ",
  onEvent: (event) => {
    if (event.type === "validation") {
      console.error(`step ${event.step}: ${showQuality(event, 3)} of text held out`);
    }
    if (event.type === "sample") console.error(`${event.prompt}${event.text}`);
  },
});

console.log(run.reason, run.step); // => finished 150
console.log(run.best.lossNats < 5.5); // => true
console.error(`model in ${run.modelDirectory}, report in ${run.reportPath}`);
