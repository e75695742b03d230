"""Writes tiny BERT checkpoints with a tokenizer, and what the pipelines of Python `transformers` make of texts with them.

Usage: `python tools/golden/encoder_tasks.py [DIR]`, by default to test/fixtures/encoder-tasks. Question answering left
`transformers` with version 5; `python tools/golden/encoder_tasks.py --answers [DIR]`, with version 4, adds it.
"""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import torch
import transformers
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import (BertConfig, BertForMaskedLM, BertForQuestionAnswering, BertForSequenceClassification,
                          BertForTokenClassification, PreTrainedTokenizerFast, pipeline)

VOCABULARY = """[PAD] [UNK] [CLS] [SEP] [MASK] . , ? ! ' ada love ##lace ##s lives in london and works for the bank of eng
##land grace hop ##per new york city who where what did build a comp ##iler machine first in- ##vent ##ed she he it was
paris france is capital 1 ##8 ##4 ##3 -""".split()

TAGS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]

TEXTS = [
    "Ada Lovelace lives in London.",
    "Grace Hopper invented a compiler, and she works for the Bank of England in New York City!",
    "It was the first machine",
    "Paris is the capital of France?",
]
LONG = " ".join(["Ada Lovelace lives in London and works for the Bank of England in Paris."] * 4)

MASKED = [
    ("Paris is the [MASK] of France.", None),
    ("[MASK] Lovelace [MASK] in London.", None),
    ("She [MASK]ed it.", ["she", "##vent", "london"]),
]

QUESTIONS = [
    ("Who lives in London?", "Ada Lovelace lives in London and works for the Bank of England."),
    ("What did she build?", "Grace Hopper did build the first compiler. It was in New York City, 1843, and it was a machine."),
    ("Where is the capital?", LONG),
]


def main():
    arguments = [word for word in sys.argv[1:] if word != "--answers"]
    out = Path(arguments[0] if arguments else "test/fixtures/encoder-tasks")
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    if "--answers" in sys.argv:
        write_answers(out / "answer")
        return
    write(out / "fill", BertForMaskedLM, 1, dict(), fill)
    single = dict(id2label={0: "bad", 1: "good", 2: "mixed"}, label2id=dict(bad=0, good=1, mixed=2))
    write(out / "classify", BertForSequenceClassification, 2, single, classify)
    tags = dict(id2label=dict(enumerate(TAGS)), label2id={tag: id for id, tag in enumerate(TAGS)})
    write(out / "tag", BertForTokenClassification, 3, tags, tag)
    write(out / "answer", BertForQuestionAnswering, 4, dict(), lambda model, tokenizer: {})


def write(folder, kind, seed, labels, run):
    shutil.rmtree(folder, ignore_errors=True)
    tokenizer = build_tokenizer()
    tokenizer.save_pretrained(folder)
    config = BertConfig(vocab_size=len(VOCABULARY), hidden_size=12, num_hidden_layers=1, num_attention_heads=3,
                        intermediate_size=16, max_position_embeddings=40, hidden_dropout_prob=0.0,
                        attention_probs_dropout_prob=0.0, **labels)
    rng = np.random.default_rng(seed)
    model = kind(config).eval()
    with torch.no_grad():
        for key, value in sorted(model.named_parameters()):
            noise = torch.from_numpy(rng.standard_normal(tuple(value.shape)).astype(np.float32))
            is_norm_weight = "LayerNorm.weight" in key
            # The heads speak up, so that no two answers are nearly as good.
            scale = 1.5 if key.startswith(("classifier", "qa_outputs")) else 0.6
            value.copy_(1 + 0.2 * noise if is_norm_weight else scale * noise if value.ndim == 2 else 0.1 * noise)
    model.save_pretrained(folder)
    golden = dict(versions=dict(transformers=transformers.__version__, torch=torch.__version__), **run(model, tokenizer))
    (folder / "golden.json").write_text(dump(golden))


def build_tokenizer():
    tokenizer = Tokenizer(models.WordPiece({word: id for id, word in enumerate(VOCABULARY)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    cls, sep = VOCABULARY.index("[CLS]"), VOCABULARY.index("[SEP]")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0", pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=[("[CLS]", cls), ("[SEP]", sep)])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]",
                                   sep_token="[SEP]", mask_token="[MASK]", model_max_length=40,
                                   model_input_names=["input_ids", "token_type_ids", "attention_mask"])


def fill(model, tokenizer):
    run = pipeline("fill-mask", model=model, tokenizer=tokenizer, device="cpu")
    cases = []
    for text, targets in MASKED:
        found = run(text, top_k=4, **(dict(targets=targets) if targets else {}))
        masks = found if isinstance(found[0], list) else [found]
        cases.append(dict(text=text, targets=targets, masks=[
            [dict(tokenId=one["token"], probability=one["score"]) for one in mask] for mask in masks]))
    return dict(cases=cases)


def classify(model, tokenizer):
    run = pipeline("text-classification", model=model, tokenizer=tokenizer, device="cpu")
    pair = dict(text=TEXTS[0], text_pair=TEXTS[2])
    return dict(texts=TEXTS, labels=[run(text, top_k=None) for text in TEXTS],
                pair=[pair["text"], pair["text_pair"]], pairLabels=run(pair, top_k=None),
                sigmoid=[run(text, top_k=None, function_to_apply="sigmoid") for text in TEXTS])


def tag(model, tokenizer):
    results = {}
    for strategy in ("none", "simple", "first", "average", "max"):
        run = pipeline("token-classification", model=model, tokenizer=tokenizer, device="cpu",
                       aggregation_strategy=strategy)
        results[strategy] = [[dict(label=one.get("entity_group", one.get("entity")), score=float(one["score"]),
                                   start=int(one["start"]), end=int(one["end"])) for one in run(text)] for text in TEXTS]
    return dict(texts=TEXTS, groupings=results)


def write_answers(folder):
    """With `transformers` 4: its question-answering pipeline, on the checkpoint that is there."""
    model = BertForQuestionAnswering.from_pretrained(folder).eval()
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    run = pipeline("question-answering", model=model, tokenizer=tokenizer, device="cpu")
    # Late releases add up the scores of answers that read the same, wherever they are, and of one place in two windows.
    run.get_answer = lambda answers, target: None
    cases = []
    for question, context in QUESTIONS:
        for options in (dict(), dict(handle_impossible_answer=True), dict(max_answer_len=3)):
            found = run(question=question, context=context, top_k=20, max_seq_len=40, doc_stride=10, **options)
            answers = list({(one["start"], one["end"]): one for one in reversed(found)}.values())
            answers = sorted(answers, key=lambda one: -one["score"])[:3]
            cases.append(dict(question=question, context=context,
                              allowNone="handle_impossible_answer" in options,
                              maxAnswerTokens=options.get("max_answer_len", 15),
                              answers=[dict(text=one["answer"], start=one["start"], end=one["end"], score=one["score"])
                                       for one in answers]))
    golden = dict(versions=dict(transformers=transformers.__version__, torch=torch.__version__), cases=cases)
    (folder / "golden.json").write_text(dump(golden))


def dump(golden):
    return json.dumps(golden, separators=(",", ":"), ensure_ascii=False) + "\n"


if __name__ == "__main__":
    main()
