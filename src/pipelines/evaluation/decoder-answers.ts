import type { Sandbox } from "../../eval/sandbox/sandbox.ts";
import { type DrawnProgram, makePrediction, type Prediction } from "../../eval/tasks/prediction.ts";
import type { Task } from "../../eval/tasks/task.ts";
import type { TaskExample } from "../../eval/tasks/task-rows.ts";
import { fieldValues, fillTemplate, templateFields } from "../../eval/tasks/template.ts";
import { generateBatch } from "../../generate/generate.ts";
import { classifyByLikelihood } from "../classify-by-likelihood.ts";
import { endOfBlock } from "../code-block.ts";
import type { LanguageModel } from "../language-model.ts";

/** Prompts that are continued in one go; more than go side by side, so that none waits for the slowest. */
const CHUNK = 32;

/** What answering examples needs besides a model. */
export interface AnswerRequest {
  readonly task: Task;
  readonly examples: readonly TaskExample[];
  /** What each prompt begins with. */
  readonly intro: string;
  /** `choice`: what to choose from. */
  readonly labels: readonly string[];
  readonly seed: number;
  readonly sandbox: Sandbox;
  readonly signal?: AbortSignal | undefined;
}

/** A decoder's answers, in the order of the examples; a prompt longer than the context is answered by nothing. */
export async function* decoderAnswers(
  model: LanguageModel,
  request: AnswerRequest,
): AsyncGenerator<Prediction> {
  switch (request.task.method) {
    case "choice":
      return yield* choices(model, request);
    case "pair":
      return yield* pairs(model, request);
    case "perplexity":
      return yield* likelihoods(model, request);
    default:
      return yield* continuations(model, request);
  }
}

/** By likelihood of each label. The prompt's only field is what calibration empties; with several, all of the prompt is. */
async function* choices(model: LanguageModel, request: AnswerRequest): AsyncGenerator<Prediction> {
  const { task, examples, intro, labels, signal } = request;
  const fields = templateFields(task.prompt);
  const isSingle = fields.length === 1 && task.prompt.split(`{${fields[0]}}`).length === 2;
  const asked = isSingle ? task.prompt.replace(`{${fields[0]}}`, "{text}") : "{text}";
  const space = /^\s*/.exec(task.answer)![0];
  const textOf = ({ row, prompt }: TaskExample) =>
    isSingle ? fieldValues(fields[0]!, row).join("\n") : prompt;
  const longest = labels.reduce((a, b) => (b.length > a.length ? b : a), "");
  const isShort = (example: TaskExample) =>
    roomAfter(model, `${intro}${example.prompt}${space}${longest}`) >= 0;
  const fitting = examples.filter(isShort);
  const found = await classifyByLikelihood(model, fitting.map(textOf), {
    labels,
    template: `${intro.replaceAll("{text}", "{ text }").replaceAll("{label}", "{ label }")}${asked}${space}{label}`,
    calibrate: task.calibrate,
    signal,
  });
  const answers = new Map(fitting.map((example, i) => [example, found[i]!]));
  for (const example of examples) {
    const answer = answers.get(example);
    if (!answer) yield makePrediction(example, "", { tooLong: true });
    else {
      const probabilities = Object.fromEntries(answer.map(({ label, probability }) => [label, probability]));
      yield makePrediction(example, answer[0]!.label, { probabilities });
    }
  }
}

async function* pairs(
  model: LanguageModel,
  { task, examples, signal }: AnswerRequest,
): AsyncGenerator<Prediction> {
  for (const example of examples) {
    const contrast = fillTemplate(task.contrast!, example.row);
    const good = await scoreText(model, example.input, signal);
    const bad = await scoreText(model, contrast, signal);
    yield makePrediction(example, good.nats < bad.nats ? example.input : contrast);
  }
}

async function* likelihoods(
  model: LanguageModel,
  { examples, signal }: AnswerRequest,
): AsyncGenerator<Prediction> {
  for (const example of examples) {
    yield makePrediction(example, "", { likelihood: await scoreText(model, example.input, signal) });
  }
}

/** How likely a text is, its first token too where the model has a token to begin with. */
async function scoreText(model: LanguageModel, text: string, signal: AbortSignal | undefined) {
  const { tokenizer } = model;
  const begins = tokenizer.encodeInput("").ids.length > 0;
  const start = begins ? undefined : (tokenizer.specials.bos ?? tokenizer.specials.eos);
  const ids = [...(start === undefined ? [] : [start]), ...tokenizer.encodeInput(text).ids];
  const { nats, logprobs } = await model.scorer.score(ids, signal);
  const scored = ids.filter((_, i) => logprobs[i] !== null);
  const bytes = scored.reduce((sum, id) => sum + tokenizer.tokenBytes(id).length, 0);
  return { nats, bytes, tokens: scored.length };
}

/** Text or programs that follow the prompts. */
async function* continuations(model: LanguageModel, request: AnswerRequest): AsyncGenerator<Prediction> {
  const isProgram = request.task.method === "program";
  for (let at = 0; at < request.examples.length; at += CHUNK) {
    const chunk = request.examples.slice(at, at + CHUNK);
    const texts = await continueChunk(model, request, chunk, request.seed + at);
    for (const example of chunk) {
      const found = texts.get(example);
      if (!found)
        yield makePrediction(example, "", {
          tooLong: true,
          ...(isProgram && { programs: tooLong(request) }),
        });
      else if (isProgram) yield await judgePrograms(request, example, found);
      else yield makePrediction(example, found[0]!);
    }
  }
}

/** The texts of each example whose prompt leaves room for a token; near the end of the context they are shorter than the task allows. */
async function continueChunk(
  model: LanguageModel,
  { task, intro, signal }: AnswerRequest,
  chunk: readonly TaskExample[],
  seed: number,
): Promise<Map<TaskExample, string[]>> {
  const byLength = new Map<number, TaskExample[]>();
  for (const example of chunk) {
    const maxTokens = Math.min(task.maxTokens, roomAfter(model, intro + example.prompt));
    if (maxTokens >= 1) byLength.set(maxTokens, [...(byLength.get(maxTokens) ?? []), example]);
  }
  const isProgram = task.method === "program";
  const texts = new Map<TaskExample, string[]>();
  for (const [maxTokens, examples] of byLength) {
    const results = await generateBatch({
      decoder: model.decoder,
      tokenizer: model.tokenizer,
      prompts: examples.map(({ prompt }) => encode(model, intro + prompt)),
      maxTokens,
      numSamples: isProgram ? task.numSamples : 1,
      sampling: { temperature: task.temperature, seed },
      stop: isProgram ? [] : [task.stop],
      stopTokens: model.defaults.stopTokens,
      signal,
    });
    signal?.throwIfAborted();
    for (const [i, example] of examples.entries())
      texts.set(
        example,
        results[i]!.map(({ text }) => text),
      );
  }
  return texts;
}

/** As many programs as were to be drawn, none of which could be. */
function tooLong({ task }: AnswerRequest): DrawnProgram[] {
  const program = {
    completion: "",
    status: "failed",
    detail: "the prompt is longer than the context",
  } as const;
  return Array.from({ length: task.numSamples }, () => program);
}

async function judgePrograms(
  { task, sandbox, signal }: AnswerRequest,
  example: TaskExample,
  texts: readonly string[],
): Promise<Prediction> {
  const test = fillTemplate(task.test!, example.row);
  const programs = [];
  for (const text of texts) {
    const completion = cutProgram(example.prompt, text);
    const source = `${example.prompt}${completion}\n${test}`;
    const { status, detail } = await sandbox.run({ source, language: task.language }, signal);
    programs.push({ completion, status, detail });
  }
  return makePrediction(example, programs[0]!.completion, { programs });
}

/** What of a text belongs to the block that a prompt opens; all of it if the block is not closed. */
export function cutProgram(prompt: string, text: string): string {
  // The cursor stands behind the line that opens the block, and the last line counts as written.
  const opening = prompt.trimEnd();
  const gap = prompt.slice(opening.length);
  const end = endOfBlock(opening)(`${gap}${text}\n`);
  return end === undefined ? text : text.slice(0, Math.max(0, end - gap.length));
}

/** Tokens that may follow a text in the context; below 0 if the text itself is too long. */
function roomAfter(model: LanguageModel, text: string): number {
  const capacity = Math.min(model.decoder.capacity, model.loaded.model.shape.contextLength);
  return capacity - encode(model, text).length + 1;
}

function encode(model: LanguageModel, text: string): readonly number[] {
  return Array.from(model.tokenizer.encodeInput(text).ids);
}
