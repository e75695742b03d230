"""Writes tiny decoders with a head that sorts texts, and what Python `transformers` makes of tokens with them.

Usage: `python tools/golden/decoder_classifiers.py [DIR]`, by default to test/fixtures/classifiers. Values are float64 runs of the
float32 weights in the files, stored as JSON numbers. `lastPlaces` is not stored: it follows from `padId`.
"""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import torch
import transformers
from transformers import (GPT2Config, GPT2ForSequenceClassification, LlamaConfig, LlamaForSequenceClassification,
                          MistralConfig, MistralForSequenceClassification, Qwen2Config, Qwen2ForSequenceClassification)

PAD = 3
VOCABULARY = 30

SIZES = dict(hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
             max_position_embeddings=32, vocab_size=VOCABULARY)


def labels(*names, problem):
    return dict(id2label=dict(enumerate(names)), label2id={name: id for id, name in enumerate(names)},
                problem_type=problem, pad_token_id=PAD)


CHECKPOINTS = {
    "gpt2": (GPT2ForSequenceClassification, GPT2Config(
        n_embd=16, n_layer=2, n_head=4, n_positions=32, vocab_size=VOCABULARY, resid_pdrop=0.0, embd_pdrop=0.0,
        attn_pdrop=0.0, bos_token_id=0, eos_token_id=0, **labels("bad", "good", "mixed", problem="single_label_classification"))),
    "mistral": (MistralForSequenceClassification, MistralConfig(
        **SIZES, sliding_window=5, bos_token_id=1, eos_token_id=2,
        **labels("red", "green", problem="multi_label_classification"))),
    "llama": (LlamaForSequenceClassification, LlamaConfig(
        **SIZES, tie_word_embeddings=True, bos_token_id=1, eos_token_id=2, **labels("value", problem="regression"))),
    "qwen2": (Qwen2ForSequenceClassification, Qwen2Config(
        **SIZES, bos_token_id=1, eos_token_id=2,
        **labels("a", "b", "c", "d", problem="single_label_classification"))),
}

# Rows padded at the end; the third holds the padding token in its midst, the fourth nothing else.
TOKENS = [
    [5, 9, 14, 22, 7, 11, 28, 4, 19],
    [8, 2, 17, PAD, PAD, PAD, PAD, PAD, PAD],
    [PAD, 12, PAD, 6, 25, PAD, PAD, PAD, PAD],
    [PAD] * 9,
    [21, 0, 13, 29, 5, 5, 10, PAD, PAD],
]


def main():
    out = Path(sys.argv[1] if len(sys.argv) > 1 else "test/fixtures/classifiers")
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    for seed, (name, (kind, config)) in enumerate(CHECKPOINTS.items()):
        write(out / name, kind, config, seed)


def write(folder, kind, config, seed):
    shutil.rmtree(folder, ignore_errors=True)
    config._attn_implementation = "eager"
    model = kind(config).eval()
    rng = np.random.default_rng(seed)
    with torch.no_grad():
        for key, value in sorted(model.named_parameters()):
            noise = torch.from_numpy(rng.standard_normal(tuple(value.shape)).astype(np.float32))
            is_norm_weight = ("ln_" in key or "norm" in key) and key.endswith("weight")
            value.copy_(1 + 0.2 * noise if is_norm_weight else (0.4 if value.ndim == 2 else 0.1) * noise)
    model.save_pretrained(folder)
    tokens = torch.tensor(TOKENS)
    with torch.no_grad():
        logits = model.double()(input_ids=tokens, attention_mask=torch.ones_like(tokens)).logits
    golden = dict(versions=dict(transformers=transformers.__version__, torch=torch.__version__), padId=PAD,
                  tokens=TOKENS, logits=[[float(np.float32(value)) for value in row] for row in logits])
    # Rounded to float32 and written as the shortest decimal that says so.
    text = json.dumps(golden, separators=(",", ":"))
    (folder / "golden.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
