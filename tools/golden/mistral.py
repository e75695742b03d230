"""Golden values for the Mistral family, from Python `transformers`.

Writes `golden.json`, with everything a faithful implementation must reproduce for a dozen tiny configurations of
Mistral, Llama and Qwen2 (logits, hidden states, losses, gradients, a greedy continuation), and some of the models as
checkpoints in the layouts that are published. Usage: `python tools/golden/mistral.py [OUT]` (default
`test/fixtures/mistral`).

Legend: B batch, T tokens, C width, V vocabulary.

Weights are not stored with the cases: both sides draw them from `draw` below, by the name of each parameter. Values are
computed in float64 from those float32 weights, then rounded to float32 for storage.
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
import torch.nn.functional as F
import transformers
from transformers import (LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM, Qwen2Config,
                          Qwen2ForCausalLM)

GREEDY_TOKENS = 64
MARGIN = 5e-3  # smallest lead of a greedy choice: fifty times what float32 moves a logit by
PROMPT = 6
FAMILIES = dict(mistral=(MistralConfig, MistralForCausalLM), llama=(LlamaConfig, LlamaForCausalLM),
                qwen2=(Qwen2Config, Qwen2ForCausalLM))

BASE = dict(hidden_size=20, intermediate_size=28, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
            vocab_size=31, max_position_embeddings=96, rms_norm_eps=1e-5)
SMALL_ROPE = dict(hidden_size=32, num_attention_heads=4, head_dim=8)

# name: family, tokens T, configuration beyond BASE. `rope_scaling` and `rope_theta` are the older spelling.
CASES = {
    "window, ratio 4": ("mistral", 24, dict(num_key_value_heads=1, sliding_window=5, head_dim=6)),
    "no window, ratio 8, heads wider than the model": (
        "mistral", 20, dict(num_attention_heads=8, num_key_value_heads=1, head_dim=4, sliding_window=None,
                            vocab_size=37, rope_theta=1e6)),
    "window 1, ratio 2, tied": ("mistral", 9, dict(sliding_window=1, tie_word_embeddings=True, head_dim=8)),
    "ratio 1, tied, short theta": (
        "llama", 24, dict(num_key_value_heads=4, head_dim=2, tie_word_embeddings=True, vocab_size=29,
                          rope_parameters=dict(rope_type="default", rope_theta=50.0))),
    "ratio 2, all biases": ("llama", 16, dict(attention_bias=True, mlp_bias=True, head_dim=10, rms_norm_eps=1e-2)),
    "biases of queries, keys and values; windows in two of three layers": (
        "qwen2", 24, dict(num_hidden_layers=3, hidden_size=24, use_sliding_window=True, sliding_window=4,
                          max_window_layers=1, tie_word_embeddings=True)),
    "window in every layer, ratio 4": (
        "qwen2", 16, dict(hidden_size=24, num_key_value_heads=1, use_sliding_window=True, sliding_window=3,
                          max_window_layers=0, vocab_size=33)),
    "linear": ("llama", 24, dict(SMALL_ROPE, rope_scaling=dict(type="linear", factor=2.5), rope_theta=200.0)),
    "dynamic": ("llama", 24, dict(SMALL_ROPE, max_position_embeddings=16,
                                  rope_scaling=dict(rope_type="dynamic", factor=6.0), rope_theta=200.0)),
    "llama3": ("llama", 24, dict(SMALL_ROPE, rope_parameters=dict(
        rope_type="llama3", rope_theta=300.0, factor=4.0, original_max_position_embeddings=16, low_freq_factor=1.0,
        high_freq_factor=4.0))),
    "yarn": ("qwen2", 24, dict(SMALL_ROPE, max_position_embeddings=24, rope_theta=500.0, rope_scaling=dict(
        type="yarn", factor=4.0, original_max_position_embeddings=24, beta_fast=4.0, beta_slow=1.0))),
    "yarn between indices, with its own factors": ("mistral", 24, dict(
        SMALL_ROPE, sliding_window=None, rope_theta=500.0, rope_scaling=dict(
            rope_type="yarn", factor=6.0, original_max_position_embeddings=16, mscale=1.0, mscale_all_dim=0.7,
            beta_fast=3.0, truncate=False))),
}


def main():
    out = Path(sys.argv[1] if len(sys.argv) > 1 else "test/fixtures/mistral")
    torch.set_num_threads(1)  # one thread: the same summation order on every machine
    torch.use_deterministic_algorithms(True)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    out.mkdir(parents=True, exist_ok=True)
    cases = [run_case(name, *spec) for name, spec in CASES.items()]
    golden = dict(versions=versions(), about="float64 runs of float32 weights; arrays are little-endian float32 in base64",
                  cases=cases)
    (out / "golden.json").write_text(json.dumps(golden, separators=(",", ":")) + "\n")
    write_checkpoints(out)
    for case in cases:
        print(json.dumps(dict(name=case["name"], loss=case["loss"], minMargin=case["greedy"]["minMargin"],
                              float32Deviation=case["float32Deviation"])))


def build_model(family, changes):
    """A model whose every weight is random: no zero bias and no unit norm can hide a mistake."""
    config_class, model_class = FAMILIES[family]
    config = config_class(**{**BASE, **copy.deepcopy(changes)}, attn_implementation="eager")
    model = model_class(config).eval()
    with torch.no_grad():
        for name, value in model.named_parameters():
            value.copy_(torch.from_numpy(draw(name, tuple(value.shape))))
    return model


def draw(name, shape):
    """Uniform numbers by xorshift32, seeded by the FNV-1a hash of the name: 24 bits each, exact in float32."""
    state = 2166136261
    for byte in name.encode():
        state = (state ^ byte) * 16777619 & 0xFFFFFFFF
    values = np.empty(int(np.prod(shape)), dtype=np.float32)
    for i in range(values.size):
        state ^= state << 13 & 0xFFFFFFFF
        state ^= state >> 17
        state ^= state << 5 & 0xFFFFFFFF
        values[i] = (state >> 8) / 2**23 - 1
    scale = 0.5 if len(shape) == 2 else 0.25
    offset = 1 if "norm" in name else 0
    return (offset + scale * values).astype(np.float32).reshape(shape)


def run_case(name, family, T, changes):
    model = build_model(family, changes)
    V = model.config.vocab_size
    rng = np.random.default_rng(7)
    tokens, targets = (torch.from_numpy(rng.integers(0, V, (2, T))) for _ in range(2))
    exact = forward_backward(copy.deepcopy(model).double(), tokens, targets)
    single = forward_backward(copy.deepcopy(model), tokens, targets)
    return dict(
        name=name,
        config=published_config(family, changes),
        tokens=tokens.tolist(),
        targets=targets.tolist(),
        loss=exact["loss"],
        logits=pack(exact["logits"][1]),  # of the second row
        hidden=pack(exact["hidden"][1]),
        gradients={key: dict(norm=digits(value.norm()), dot=digits((value * direction(key, value)).sum()))
                   for key, value in exact["gradients"].items()},
        greedy=run_greedy(model, changes),
        float32Deviation={key: max_difference(single[key], exact[key]) for key in ("logits", "hidden")},
    )


def published_config(family, changes):
    """As in a `config.json` of that spelling: what the configuration class was given, and the type."""
    return dict(model_type=family, **{**BASE, **changes})


def direction(key, value):
    return torch.from_numpy(draw(f"direction of {key}", tuple(value.shape))).double()


def forward_backward(model, tokens, targets):
    output = model(tokens, output_hidden_states=True)
    loss = F.cross_entropy(output.logits.flatten(0, 1), targets.flatten())
    loss.backward()
    return dict(
        logits=output.logits.detach(),
        loss=loss.item(),
        hidden=output.hidden_states[-1].detach(),
        gradients={key: value.grad for key, value in model.named_parameters()},
    )


def run_greedy(model, changes):
    """Argmax continuation in float64, of the first prompt for which no choice is close and few tokens repeat."""
    is_dynamic = (changes.get("rope_scaling") or {}).get("rope_type") == "dynamic"
    for seed in range(500):
        prompt = np.random.default_rng(seed).integers(0, model.config.vocab_size, PROMPT).tolist()
        # Dynamic frequencies grow with the sequence, and what is cached keeps those it was computed with.
        continuation, margin = (continue_cached if is_dynamic else continue_whole)(model, prompt)
        if margin > MARGIN and len(set(continuation)) >= 5:
            return dict(prompt=prompt, continuation=continuation, minMargin=margin)
    sys.exit("tools/golden/mistral.py: no prompt whose greedy choices are clear")


@torch.no_grad()
def continue_whole(model, prompt):
    model, tokens, margins = copy.deepcopy(model).double(), list(prompt), []
    for _ in range(GREEDY_TOKENS):
        tokens.append(choose(model(torch.tensor([tokens])).logits, margins))
    return tokens[len(prompt):], min(margins)


@torch.no_grad()
def continue_cached(model, prompt):
    model, tokens, margins, cache, new = copy.deepcopy(model).double(), [], [], None, list(prompt)
    for _ in range(GREEDY_TOKENS):
        output = model(torch.tensor([new]), past_key_values=cache, use_cache=True)
        cache, new = output.past_key_values, [choose(output.logits, margins)]
        tokens += new
    return tokens, min(margins)


def choose(logits, margins):
    best = logits[0, -1].topk(2)
    margins.append((best.values[0] - best.values[1]).item())
    return best.indices[0].item()


def write_checkpoints(out):
    """`mistral` and `qwen2` as `save_pretrained` writes them, `llama` as old files are, and Mistral's own layout."""
    for name, case, rewrite in (
        ("mistral", "window, ratio 4", dict),
        ("llama", "ratio 1, tied, short theta", without_prefix),
        ("qwen2", "biases of queries, keys and values; windows in two of three layers", dict),
    ):
        family, _, changes = CASES[case]
        model = build_model(family, changes)
        folder = out / name
        shutil.rmtree(folder, ignore_errors=True)
        model.save_pretrained(folder)
        (folder / "generation_config.json").unlink(missing_ok=True)
        path = folder / "model.safetensors"
        tensors = rewrite(safetensors.torch.load_file(path))
        safetensors.torch.save_file(tensors, path, metadata={"format": "pt"})
        path.chmod(0o644)
        if name == "mistral":
            write_consolidated(out / "consolidated", model)


def write_consolidated(folder, model):
    """Mistral's own names, and queries and keys whose pairs are neighbours: the inverse of the published conversion."""
    config = model.config

    def original(key, value):
        heads = dict(q=config.num_attention_heads, k=config.num_key_value_heads).get(key.split(".")[-2][0])
        if "self_attn" in key and heads:
            width = value.shape[1]
            value = value.view(heads, 2, config.head_dim // 2, width).transpose(1, 2).reshape(-1, width)
        for theirs, ours in (
            ("model.embed_tokens", "tok_embeddings"), ("model.layers", "layers"), ("model.norm", "norm"),
            ("lm_head", "output"), ("input_layernorm", "attention_norm"), ("post_attention_layernorm", "ffn_norm"),
            ("self_attn.q_proj", "attention.wq"), ("self_attn.k_proj", "attention.wk"),
            ("self_attn.v_proj", "attention.wv"), ("self_attn.o_proj", "attention.wo"),
            ("mlp.gate_proj", "feed_forward.w1"), ("mlp.down_proj", "feed_forward.w2"),
            ("mlp.up_proj", "feed_forward.w3"),
        ):
            key = key.replace(theirs, ours)
        return key, value.contiguous()

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    params = dict(dim=config.hidden_size, n_layers=config.num_hidden_layers, head_dim=config.head_dim,
                  hidden_dim=config.intermediate_size, n_heads=config.num_attention_heads,
                  n_kv_heads=config.num_key_value_heads, norm_eps=config.rms_norm_eps, vocab_size=config.vocab_size,
                  rope_theta=10000.0, sliding_window=config.sliding_window,
                  max_seq_len=config.max_position_embeddings)
    (folder / "params.json").write_text(json.dumps(params, indent=2) + "\n")
    tensors = dict(original(key, value.detach()) for key, value in model.state_dict().items())
    safetensors.torch.save_file(tensors, folder / "consolidated.safetensors")
    (folder / "consolidated.safetensors").chmod(0o644)


def without_prefix(tensors):
    """No prefix, the tied head written out, and the buffers of rotary frequencies that old versions saved."""
    bare = {key.removeprefix("model."): value for key, value in tensors.items()}
    bare["lm_head.weight"] = bare["embed_tokens.weight"].clone()
    bare["layers.0.self_attn.rotary_emb.inv_freq"] = torch.ones(1)
    return bare


def pack(tensor):
    data = tensor.detach().to(torch.float32).contiguous().numpy().astype("<f4").tobytes()
    return dict(shape=list(tensor.shape), float32=base64.b64encode(data).decode())


def digits(value):
    """Ten significant digits: finer than float32, shorter than float64."""
    return float(f"{value.item():.10g}")


def max_difference(left, right):
    return (left.double() - right.double()).abs().max().item()


def versions():
    return dict(python=platform.python_version(), torch=torch.__version__, numpy=np.__version__,
                transformers=transformers.__version__, safetensors=safetensors.__version__)


if __name__ == "__main__":
    main()
