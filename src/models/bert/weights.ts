import { ConfigError } from "../../core/errors.ts";
import { readLabels, readProblem, toPublishedLabels } from "../published-labels.ts";
import { type BertConfig, type BertHeads, bertConfig } from "./config.ts";
import { Bert } from "./model.ts";

/** Fields of a published `config.json` that carry the shape, by our names. */
const PUBLISHED_KEYS = {
  vocabularySize: "vocab_size",
  contextLength: "max_position_embeddings",
  numSegments: "type_vocab_size",
  width: "hidden_size",
  numLayers: "num_hidden_layers",
  numHeads: "num_attention_heads",
  feedForwardSize: "intermediate_size",
  layerNormEpsilon: "layer_norm_eps",
} as const satisfies Record<Exclude<keyof BertConfig, "activation">, string>;

/** Published names of an activation; the first is the one we write. */
const ACTIVATION_NAMES: Readonly<Record<BertConfig["activation"], readonly string[]>> = {
  gelu: ["gelu"],
  "gelu-tanh": ["gelu_new", "gelu_pytorch_tanh", "gelu_fast"],
  relu: ["relu"],
  silu: ["silu", "swish"],
};

/** Switches of the reference implementation that change the arithmetic, and the one setting of each that is BERT. */
const REQUIRED: Readonly<Record<string, unknown>> = {
  position_embedding_type: "absolute",
  is_decoder: false,
  add_cross_attention: false,
};

type Published = Readonly<Record<string, unknown>>;

/** The heads that an architecture of the reference implementation promises. */
const ARCHITECTURES: Readonly<Record<string, readonly (keyof BertHeads)[]>> = {
  BertModel: [],
  BertForPreTraining: ["pooler", "maskedLanguage", "nextSentence"],
  BertForMaskedLM: ["maskedLanguage"],
  BertForNextSentencePrediction: ["pooler", "nextSentence"],
  BertForSequenceClassification: ["pooler", "sequenceClassifier"],
  BertForTokenClassification: ["tokenClassifier"],
  BertForQuestionAnswering: ["questionAnswering"],
};

/** A tensor that is there when the head is. */
const SIGN_OF_HEAD = {
  pooler: "pooler.dense.weight",
  maskedLanguage: "cls.predictions.transform.dense.weight",
  nextSentence: "cls.seq_relationship.weight",
  classifier: "classifier.weight",
  questionAnswering: "qa_outputs.weight",
} as const;

/**
 * The model that a published `config.json` describes, with the heads that its architecture promises or its file has.
 *
 * @throws {ConfigError} if a field is out of range, or asks for arithmetic that is not BERT's.
 */
export function fromPublished(published: Published, names: readonly string[]): Bert {
  for (const [key, accepted] of Object.entries(REQUIRED)) {
    if ((published[key] ?? accepted) !== accepted) {
      throw unfit(key, JSON.stringify(accepted), published[key]);
    }
  }
  const fields = Object.entries(PUBLISHED_KEYS).flatMap(([ours, theirs]) => {
    const value = published[theirs] ?? undefined;
    return value === undefined ? [] : [[ours, value]];
  });
  const activation = readActivation(published.hidden_act ?? "gelu");
  const config = bertConfig({ ...Object.fromEntries(fields), activation } as Partial<BertConfig>);
  return new Bert(config, readHeads(published, new Set(names.map(barePath))));
}

function unfit(key: string, expected: string, got: unknown): ConfigError {
  return new ConfigError({ where: `config.json ${key}`, expected, got: JSON.stringify(got) });
}

function readActivation(name: unknown): BertConfig["activation"] {
  for (const [activation, names] of Object.entries(ACTIVATION_NAMES)) {
    if (names.includes(name as string)) return activation as BertConfig["activation"];
  }
  const known = Object.values(ACTIVATION_NAMES).flat();
  throw unfit("hidden_act", `one of ${known.join(", ")}`, name);
}

function readHeads(published: Published, paths: ReadonlySet<string>): BertHeads {
  const architecture = readArchitecture(published.architectures);
  const promised = new Set(ARCHITECTURES[architecture]);
  const has = (head: keyof BertHeads, sign: string) => promised.has(head) || paths.has(sign);
  const pooler = has("pooler", SIGN_OF_HEAD.pooler);
  const isTied = (published.tie_word_embeddings ?? true) === true;
  // Both classifiers are published under one name, and only one of them stands on a pooler.
  const isOfTokens = promised.has("tokenClassifier") || (!promised.has("sequenceClassifier") && !pooler);
  const classifier = has(isOfTokens ? "tokenClassifier" : "sequenceClassifier", SIGN_OF_HEAD.classifier);
  const labels = classifier ? readLabels(published) : [];
  return {
    pooler,
    ...(has("maskedLanguage", SIGN_OF_HEAD.maskedLanguage) && {
      maskedLanguage: isTied ? "tied" : "untied",
    }),
    nextSentence: has("nextSentence", SIGN_OF_HEAD.nextSentence),
    questionAnswering: has("questionAnswering", SIGN_OF_HEAD.questionAnswering),
    ...(classifier && isOfTokens && { tokenClassifier: { labels } }),
    ...(classifier &&
      !isOfTokens && { sequenceClassifier: { labels, problem: readProblem(published, labels.length) } }),
  };
}

function readArchitecture(architectures: unknown): string {
  const list: readonly unknown[] = Array.isArray(architectures) ? architectures : [];
  const name = list[0] ?? "BertModel";
  if (typeof name === "string" && Object.hasOwn(ARCHITECTURES, name)) return name;
  throw unfit("architectures", `one of ${Object.keys(ARCHITECTURES).join(", ")}`, name);
}

/** Writes a `config.json` that Python `transformers` reads. Training applies no dropout, and the file says so. */
export function toPublished({ config, headConfig }: Bert): object {
  const { sequenceClassifier, tokenClassifier, maskedLanguage } = headConfig;
  const classifier = sequenceClassifier ?? tokenClassifier;
  return {
    model_type: "bert",
    architectures: [architectureOf(headConfig)],
    ...Object.fromEntries(
      Object.entries(PUBLISHED_KEYS).map(([ours, theirs]) => [theirs, config[ours as keyof BertConfig]]),
    ),
    hidden_act: ACTIVATION_NAMES[config.activation][0],
    attention_probs_dropout_prob: 0,
    hidden_dropout_prob: 0,
    initializer_range: 0.02,
    position_embedding_type: "absolute",
    tie_word_embeddings: maskedLanguage !== "untied",
    ...(classifier && toPublishedLabels(classifier)),
    dtype: "float32",
  };
}

function architectureOf(heads: BertHeads): string {
  if (heads.sequenceClassifier) return "BertForSequenceClassification";
  if (heads.tokenClassifier) return "BertForTokenClassification";
  if (heads.questionAnswering) return "BertForQuestionAnswering";
  if (heads.maskedLanguage) return heads.nextSentence ? "BertForPreTraining" : "BertForMaskedLM";
  return heads.nextSentence ? "BertForNextSentencePrediction" : "BertModel";
}

/** A published name without its prefix, and with the names that TensorFlow gave to scale and shift made PyTorch's. */
function barePath(name: string): string {
  return name
    .replace(/^bert\./, "")
    .replace(/\.gamma$/, ".weight")
    .replace(/\.beta$/, ".bias");
}

const OUTPUT_BIAS = "cls.predictions.bias";
const OUTPUT_BIAS_AGAIN = "cls.predictions.decoder.bias";

/**
 * The parameter a published tensor belongs to; `undefined` for what is none: the list of positions, the output
 * matrix where it is the token table again, and the second copy of its bias.
 */
export function pathOfPublished(name: string, model: Bert, names: ReadonlySet<string>): string | undefined {
  const path = barePath(name);
  if (path === "embeddings.position_ids") return undefined;
  const isTied = model.headConfig.maskedLanguage === "tied";
  if (isTied && path === "cls.predictions.decoder.weight") return undefined;
  // Where both copies are there and differ, the reference implementation adds the matrix's own if it is not tied.
  const unused = isTied ? OUTPUT_BIAS_AGAIN : OUTPUT_BIAS;
  const used = isTied ? OUTPUT_BIAS : OUTPUT_BIAS_AGAIN;
  if (path === unused && names.has(used)) return undefined;
  return path === OUTPUT_BIAS_AGAIN ? OUTPUT_BIAS : path;
}

const IS_HEAD = /^(?:cls|classifier|qa_outputs)\./;

/** The names that a parameter is published under: what `save_pretrained` writes. */
export function publishedNames(path: string, { headConfig }: Bert): readonly string[] {
  if (IS_HEAD.test(path)) {
    const isTwice = path === OUTPUT_BIAS && headConfig.maskedLanguage === "untied";
    return isTwice ? [path, OUTPUT_BIAS_AGAIN] : [path];
  }
  return [architectureOf(headConfig) === "BertModel" ? path : `bert.${path}`];
}
