"""Writes tiny BERT checkpoints of every head, and what Python `transformers` computes with them.

Usage: `python tools/golden/bert.py [DIR]`, by default to test/fixtures/bert. One folder a checkpoint, each with
`config.json`, `model.safetensors` and `golden.json`.
"""

import base64
import copy
import json
import platform
import shutil
import sys
from pathlib import Path

import numpy as np
import safetensors
import safetensors.torch
import torch
import transformers
from transformers import (BertConfig, BertForMaskedLM, BertForNextSentencePrediction, BertForPreTraining,
                          BertForQuestionAnswering, BertForSequenceClassification, BertForTokenClassification,
                          BertModel)

IGNORED = -100
TOPICS = {0: "weather", 1: "sport", 2: "politics", 3: "music"}
TAGS = {0: "O", 1: "B-PER", 2: "I-PER", 3: "B-LOC", 4: "I-LOC"}


def labels(names):
    return dict(id2label=names, label2id={label: id for id, label in names.items()})


# Sizes with no common measure, so that no two axes can be confused. `layout` rewrites the file's names:
# `published`: gamma and beta, the list of positions, and both copies of the tied output, as Google's files have them.
# `bare`: no `bert.` prefix, as sentence-transformers saves.
CHECKPOINTS = {
    "masked-lm": dict(
        model=BertForMaskedLM, seed=1,
        config=dict(vocab_size=31, hidden_size=12, num_hidden_layers=2, num_attention_heads=3, intermediate_size=20,
                    max_position_embeddings=11)),
    "untied": dict(
        model=BertForMaskedLM, seed=2,
        config=dict(vocab_size=29, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=18,
                    max_position_embeddings=9, tie_word_embeddings=False, layer_norm_eps=1e-5)),
    "pretraining": dict(
        model=BertForPreTraining, seed=3, layout="published", gradients=True,
        config=dict(vocab_size=37, hidden_size=10, num_hidden_layers=3, num_attention_heads=5, intermediate_size=14,
                    max_position_embeddings=12, hidden_act="gelu_new")),
    "next-sentence": dict(
        model=BertForNextSentencePrediction, seed=4,
        config=dict(vocab_size=23, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=9,
                    max_position_embeddings=10, hidden_act="relu")),
    "single-label": dict(
        model=BertForSequenceClassification, seed=5,
        config=dict(vocab_size=27, hidden_size=12, num_hidden_layers=1, num_attention_heads=4, intermediate_size=16,
                    max_position_embeddings=9, problem_type="single_label_classification", **labels(TOPICS))),
    "multi-label": dict(
        model=BertForSequenceClassification, seed=6,
        config=dict(vocab_size=25, hidden_size=6, num_hidden_layers=2, num_attention_heads=2, intermediate_size=11,
                    max_position_embeddings=9, type_vocab_size=3, problem_type="multi_label_classification",
                    **labels(TOPICS))),
    "regression": dict(
        model=BertForSequenceClassification, seed=7,
        config=dict(vocab_size=21, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=12,
                    max_position_embeddings=8, problem_type="regression", hidden_act="silu", num_labels=1)),
    "token-classification": dict(
        model=BertForTokenClassification, seed=8,
        config=dict(vocab_size=33, hidden_size=12, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
                    max_position_embeddings=13, hidden_act="gelu_pytorch_tanh", **labels(TAGS))),
    "question-answering": dict(
        model=BertForQuestionAnswering, seed=9,
        config=dict(vocab_size=35, hidden_size=10, num_hidden_layers=2, num_attention_heads=1, intermediate_size=15,
                    max_position_embeddings=14)),
    "bare": dict(
        model=BertModel, seed=10, layout="bare",
        config=dict(vocab_size=26, hidden_size=8, num_hidden_layers=2, num_attention_heads=4, intermediate_size=13,
                    max_position_embeddings=10)),
    "no-pooler": dict(
        model=BertModel, seed=11, arguments=dict(add_pooling_layer=False),
        config=dict(vocab_size=22, hidden_size=6, num_hidden_layers=1, num_attention_heads=3, intermediate_size=10,
                    max_position_embeddings=8, type_vocab_size=1)),
}


def main():
    out = Path(sys.argv[1] if len(sys.argv) > 1 else "test/fixtures/bert")
    torch.set_num_threads(1)  # one thread: the same summation order on every machine
    torch.use_deterministic_algorithms(True)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    for name, spec in CHECKPOINTS.items():
        write_checkpoint(out / name, name, spec)


def write_checkpoint(folder, name, spec):
    rng = np.random.default_rng(spec["seed"])
    model = build_model(spec, rng)
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    rewrite_names(folder / "model.safetensors", spec.get("layout"), model.config)

    reloaded, info = spec["model"].from_pretrained(
        folder, attn_implementation="eager", output_loading_info=True, **spec.get("arguments", {}))
    check(not info["missing_keys"], f"{name}: missing keys: {info['missing_keys']}")
    for key, value in model.state_dict().items():
        check(torch.equal(value, reloaded.state_dict()[key]), f"{name}: {key} changed by saving")

    exact = copy.deepcopy(reloaded).double().eval()
    cases = [run_case(exact, reloaded, case) for case in make_cases(reloaded.config, rng)]
    golden = dict(
        versions=versions(),
        about="float64 runs of float32 weights; arrays are little-endian float32 in base64",
        cases=cases,
        **(dict(gradients=run_gradients(exact, rng)) if spec.get("gradients") else {}),
    )
    (folder / "golden.json").write_text(json.dumps(golden, separators=(",", ":")) + "\n")
    print(json.dumps(dict(name=name, sizeBytes=sum(path.stat().st_size for path in folder.iterdir()),
                          float32Deviation=max(case["float32Deviation"] for case in cases))))


def build_model(spec, rng):
    """A model whose every weight is random: no zero bias and no unit norm can hide a mistake."""
    config = BertConfig(**spec["config"], hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
                        attn_implementation="eager")
    model = spec["model"](config, **spec.get("arguments", {})).eval()
    with torch.no_grad():
        for key, value in sorted(model.named_parameters()):
            noise = torch.from_numpy(rng.standard_normal(tuple(value.shape)).astype(np.float32))
            is_norm_weight = "LayerNorm.weight" in key
            scale = 0.4 if value.ndim == 2 else 0.1
            value.copy_(1 + 0.2 * noise if is_norm_weight else scale * noise)
    return model


def rewrite_names(path, layout, config):
    tensors = safetensors.torch.load_file(path)
    if layout == "published":
        tensors = {key.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): value
                   for key, value in tensors.items()}
        tensors["bert.embeddings.position_ids"] = torch.arange(config.max_position_embeddings).unsqueeze(0)
        tensors["cls.predictions.decoder.weight"] = tensors["bert.embeddings.word_embeddings.weight"].clone()
        tensors["cls.predictions.decoder.bias"] = tensors["cls.predictions.bias"].clone()
    elif layout == "bare":
        check(not any(key.startswith("bert.") for key in tensors), "a bare model has no prefix")
        tensors["embeddings.position_ids"] = torch.arange(config.max_position_embeddings).unsqueeze(0)
    else:
        return
    safetensors.torch.save_file(tensors, path, metadata={"format": "pt"})


def make_cases(config, rng):
    """Batches (B, T) of tokens, segments and mask: ragged ones, one that fills the context, one token alone."""

    def case(name, lengths):
        T = max(lengths)
        mask = np.array([[int(t < length) for t in range(T)] for length in lengths])
        tokens = rng.integers(0, config.vocab_size, mask.shape)
        segments = np.sort(rng.integers(0, config.type_vocab_size, mask.shape), axis=1)
        return dict(name=name, tokens=tokens * mask, segments=segments * mask, mask=mask)

    return [case("padded", [7, 3, 5]), case("full-context", [config.max_position_embeddings]), case("one-token", [1])]


@torch.no_grad()
def run_case(exact, single, case):
    results, rough = forward(exact, case), forward(single, case)
    return dict(
        **{key: value if key == "name" else value.tolist() for key, value in case.items()},
        outputs={key: pack(value) for key, value in results.items()},
        float32Deviation=max((rough[key].double() - value).abs().max().item() for key, value in results.items()),
    )


def forward(model, case):
    tokens, segments, mask = (torch.from_numpy(case[key]) for key in ("tokens", "segments", "mask"))
    output = model(tokens, token_type_ids=segments, attention_mask=mask, output_hidden_states=True)
    results = {f"hidden.{layer}": value for layer, value in enumerate(output.hidden_states)}
    encoder = model if isinstance(model, BertModel) else model.bert
    if encoder.pooler is not None:
        results["pooled"] = encoder.pooler(output.hidden_states[-1])
    names = dict(logits="logits", prediction_logits="maskedLogits", seq_relationship_logits="nextSentenceLogits",
                 start_logits="start", end_logits="end")
    return results | {names[key]: value for key, value in output.items() if key in names}


def run_gradients(model, rng):
    """The pretraining loss as `transformers` adds it up, and norm and sum of its gradient by every parameter."""
    config = model.config
    # Not id 0: PyTorch's table passes no gradient to the row of padding, even where a text holds it.
    tokens = rng.integers(1, config.vocab_size, (2, 9))
    mask = np.array([[1] * 9, [1] * 6 + [0] * 3])
    segments = np.sort(rng.integers(0, 2, (2, 9)), axis=1)
    labels = np.full((2, 9), IGNORED)
    for row, column in ((0, 1), (0, 4), (0, 8), (1, 0), (1, 5)):
        labels[row, column] = rng.integers(0, config.vocab_size)
    follows = np.array([1, 0])
    model = copy.deepcopy(model)
    loss = model(torch.from_numpy(tokens), token_type_ids=torch.from_numpy(segments),
                 attention_mask=torch.from_numpy(mask), labels=torch.from_numpy(labels),
                 next_sentence_label=torch.from_numpy(follows)).loss
    loss.backward()
    return dict(tokens=tokens.tolist(), segments=segments.tolist(), mask=mask.tolist(), labels=labels.tolist(),
                follows=follows.tolist(), loss=loss.item(),
                parameters={key: dict(norm=digits(value.grad.norm()), sum=digits(value.grad.sum()))
                            for key, value in model.named_parameters()})


def pack(tensor):
    data = tensor.detach().to(torch.float32).contiguous().numpy().astype("<f4").tobytes()
    return dict(shape=list(tensor.shape), float32=base64.b64encode(data).decode())


def digits(value):
    """Ten significant digits: finer than float32, shorter than float64."""
    return float(f"{value.item():.10g}")


def versions():
    return dict(python=platform.python_version(), torch=torch.__version__, numpy=np.__version__,
                transformers=transformers.__version__, safetensors=safetensors.__version__)


def check(condition, message):
    if not condition:
        sys.exit(f"tools/golden/bert.py: {message}")


if __name__ == "__main__":
    main()
