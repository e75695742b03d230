"""Golden values for GPT-2, from Python `transformers`.

Writes two tiny checkpoints in Hugging Face layout and, beside each, a `golden.json` with everything a
faithful implementation must reproduce: logits, losses, gradients, hidden states, a greedy continuation and
ten AdamW steps. Usage: `python tools/golden/gpt2.py [OUT]` (default `test/fixtures/gpt2`).

Legend: B batch, T tokens, C width, V vocabulary, L layers.

Values are computed in float64 from the float32 weights of the file, then rounded to float32 for storage;
`float32Deviation` says how far torch's own float32 run lies from them, so a tolerance can be judged.
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
from transformers import GPT2Config, GPT2LMHeadModel

IGNORED = -100
GREEDY_TOKENS = 20
ADAMW_STEPS = 10
WHOLE_LIMIT = 64  # gradients up to this many entries are stored whole
NUM_SAMPLES = 8  # larger ones: this many entries at evenly spaced flat indices

# `prefixed`: keys as save_pretrained writes them (`transformer.h.0…`).
# `bare`: keys as in the published openai-community/gpt2 file: no prefix, causal masks stored as buffers.
CHECKPOINTS = {
    "prefixed": dict(
        seed=3,
        prompt=6,
        config=dict(n_embd=32, n_layer=2, n_head=4, n_positions=32, vocab_size=97, n_inner=64,
                    layer_norm_epsilon=1e-3),
    ),
    "bare": dict(
        seed=13,
        prompt=5,
        config=dict(n_embd=20, n_layer=3, n_head=2, n_positions=24, vocab_size=50, n_inner=None),
    ),
}


def main():
    out = Path(sys.argv[1] if len(sys.argv) > 1 else "test/fixtures/gpt2")
    torch.set_num_threads(1)  # one thread: the same summation order on every machine
    torch.use_deterministic_algorithms(True)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    for name, spec in CHECKPOINTS.items():
        write_checkpoint(out / name, name, spec)


def write_checkpoint(folder, name, spec):
    rng = np.random.default_rng(spec["seed"])
    model = build_model(spec["config"], rng)
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    if name == "bare":
        rewrite_as_published(folder / "model.safetensors", model.config)

    reloaded, info = GPT2LMHeadModel.from_pretrained(
        folder, attn_implementation="eager", output_loading_info=True)
    check(not info["missing_keys"], f"missing keys: {info['missing_keys']}")
    for key, value in model.state_dict().items():
        check(torch.equal(value, reloaded.state_dict()[key]), f"{key} changed by saving")

    golden = dict(
        versions=versions(),
        about="float64 runs of float32 weights; arrays are little-endian float32 in base64",
        parameters={key: list(value.shape) for key, value in reloaded.named_parameters()},
        cases=[run_case(reloaded, case) for case in make_cases(reloaded.config, rng)],
        greedy=run_greedy(reloaded, rng.integers(0, reloaded.config.vocab_size, spec["prompt"])),
        adamw=run_adamw_cases(reloaded, rng),
    )
    (folder / "golden.json").write_text(json.dumps(golden, separators=(",", ":")) + "\n")
    report(name, folder, golden)


def build_model(config, rng):
    """A model whose every weight is random: no zero bias and no unit norm can hide a mistake."""
    model = GPT2LMHeadModel(GPT2Config(
        **config, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, bos_token_id=0, eos_token_id=0,
        attn_implementation="eager")).eval()
    with torch.no_grad():
        for key, value in sorted(model.named_parameters()):
            noise = torch.from_numpy(rng.standard_normal(tuple(value.shape)).astype(np.float32))
            is_norm_weight = ".ln_" in key and key.endswith("weight")
            scale = 0.25 if value.ndim == 2 else 0.1
            value.copy_(1 + 0.2 * noise if is_norm_weight else scale * noise)
    return model


def rewrite_as_published(path, config):
    tensors = {key.removeprefix("transformer."): value
               for key, value in safetensors.torch.load_file(path).items()}
    T = config.n_positions
    for layer in range(config.n_layer):
        tensors[f"h.{layer}.attn.bias"] = torch.tril(torch.ones(T, T)).reshape(1, 1, T, T)
    safetensors.torch.save_file(tensors, path, metadata={"format": "pt"})


def make_cases(config, rng):
    """Token batches (B, T) with the target of every position; `IGNORED` targets carry no loss."""
    T, V = config.n_positions, config.vocab_size

    def case(name, B, T, detailed=False):
        return dict(name=name, detailed=detailed, tokens=rng.integers(0, V, (B, T)),
                    targets=rng.integers(0, V, (B, T)))

    ignored = case("ignored-labels", 2, 5)
    ignored["targets"][0, :3] = IGNORED
    ignored["targets"][1, 4] = IGNORED
    return [case("short", 2, 7, detailed=True), case("full-context", 1, T), ignored, case("one-token", 1, 1)]


def run_case(model, case):
    tokens, targets = torch.from_numpy(case["tokens"]), torch.from_numpy(case["targets"])
    exact = forward_backward(copy.deepcopy(model).double(), tokens, targets)
    single = forward_backward(copy.deepcopy(model), tokens, targets)
    result = dict(
        name=case["name"],
        tokens=case["tokens"].tolist(),
        targets=case["targets"].tolist(),
        logits=pack(exact["logits"]),
        loss=exact["loss"],
        gradients={key: summarise(value, case["detailed"])
                   for key, value in exact["gradients"].items()},
        gradientNorm=global_norm(exact["gradients"].values()),
        float32Deviation=dict(
            logits=max_difference(single["logits"], exact["logits"]),
            loss=abs(single["loss"] - exact["loss"]),
            gradients=max(max_difference(single["gradients"][key], value)
                          for key, value in exact["gradients"].items()),
        ),
    )
    if case["detailed"]:
        # After the embeddings, after each block but the last, and after the final norm: L + 1 arrays.
        result["hiddenStates"] = [pack(value) for value in exact["hidden"]]
        # What `transformers` calls the loss for labels = tokens: shifted inside, T − 1 positions a row.
        result["shiftedLoss"] = cross_entropy(exact["logits"][:, :-1], tokens[:, 1:]).item()
        theirs = model(tokens, labels=tokens).loss.item()
        check(abs(theirs - result["shiftedLoss"]) < 1e-5, "shifted loss disagrees with transformers")
    return result


def forward_backward(model, tokens, targets):
    output = model(tokens, output_hidden_states=True)
    loss = cross_entropy(output.logits, targets)
    loss.backward()
    return dict(
        logits=output.logits.detach(),
        loss=loss.item(),
        hidden=[value.detach() for value in output.hidden_states],
        gradients={key: value.grad for key, value in model.named_parameters()},
    )


def cross_entropy(logits, targets):
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED)


@torch.no_grad()
def run_greedy(model, prompt):
    """Argmax continuation without a cache, in float64. `minMargin` is the smallest lead of a winner."""
    model = copy.deepcopy(model).double()
    tokens, margins = [int(token) for token in prompt], []
    for _ in range(GREEDY_TOKENS):
        check(len(tokens) <= model.config.n_positions, "greedy run leaves the context")
        best = model(torch.tensor([tokens])).logits[0, -1].topk(2)
        margins.append((best.values[0] - best.values[1]).item())
        tokens.append(best.indices[0].item())
    check(min(margins) > 1e-2, f"a greedy choice is too close to call: {min(margins)}; change the seed")
    return dict(prompt=[int(token) for token in prompt], continuation=tokens[len(prompt):], minMargin=min(margins))


def run_adamw_cases(model, rng):
    B, T, V = 2, 8, model.config.vocab_size
    batches = [dict(tokens=rng.integers(0, V, (B, T)), targets=rng.integers(0, V, (B, T)))
               for _ in range(ADAMW_STEPS)]
    settings = dict(learningRate=1e-3, beta1=0.9, beta2=0.95, epsilon=1e-8, weightDecay=0.1,
                    decayed="parameters with two or more dimensions",
                    checksums="sum and L2 norm; c_attn.bias without its key third, whose gradient is only noise")
    return dict(
        **settings,
        batches=[{key: value.tolist() for key, value in batch.items()} for batch in batches],
        runs=[dict(clipNorm=clip,
                   float64=run_adamw(copy.deepcopy(model).double(), batches, settings, clip),
                   float32=run_adamw(copy.deepcopy(model), batches, settings, clip))
              for clip in (1.0, None)],
    )


def run_adamw(model, batches, settings, clip):
    parameters = list(model.parameters())
    optimizer = torch.optim.AdamW(
        [dict(params=[p for p in parameters if p.ndim >= 2], weight_decay=settings["weightDecay"]),
         dict(params=[p for p in parameters if p.ndim < 2], weight_decay=0.0)],
        lr=settings["learningRate"], betas=(settings["beta1"], settings["beta2"]), eps=settings["epsilon"])
    losses, norms = [], []
    for batch in batches:
        loss = cross_entropy(model(torch.from_numpy(batch["tokens"])).logits, torch.from_numpy(batch["targets"]))
        loss.backward()
        norms.append(global_norm(p.grad for p in parameters))
        if clip is not None:
            torch.nn.utils.clip_grad_norm_(parameters, clip)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return dict(losses=losses, gradientNorms=norms,
                weights={key: checksum(key, value) for key, value in model.named_parameters()})


def checksum(key, value):
    """Sum and L2 norm, leaving out the key third of a `c_attn.bias`.

    Softmax ignores a shift common to all keys, so that gradient is exactly zero; what arithmetic leaves of
    it is rounding noise, which Adam's normalisation turns into steps that no two programs share.
    """
    flat = value.detach().double().flatten()
    if key.endswith("c_attn.bias"):
        query, _, values = flat.chunk(3)
        flat = torch.cat([query, values])
    return dict(sum=digits(flat.sum()), norm=digits(flat.norm()))


def pack(tensor):
    data = tensor.detach().to(torch.float32).contiguous().numpy().astype("<f4").tobytes()
    return dict(shape=list(tensor.shape), float32=base64.b64encode(data).decode())


def summarise(gradient, detailed):
    """L2 norm; in detail also the whole array when small, else entries `values[i]` at flat `indices[i]`."""
    flat = gradient.detach().flatten()
    norm = digits(flat.double().norm())
    if not detailed:
        return dict(norm=norm)
    if flat.numel() <= WHOLE_LIMIT:
        return dict(norm=norm, whole=pack(gradient))
    indices = [round(i) for i in np.linspace(0, flat.numel() - 1, NUM_SAMPLES)]
    return dict(norm=norm, indices=indices, values=[digits(flat[i]) for i in indices])


def digits(value):
    """Ten significant digits: finer than float32, shorter than float64."""
    return float(f"{value.item():.10g}")


def global_norm(gradients):
    return sum(g.double().square().sum().item() for g in gradients) ** 0.5


def max_difference(left, right):
    return (left.double() - right.double()).abs().max().item()


def versions():
    return dict(python=platform.python_version(), torch=torch.__version__, numpy=np.__version__,
                transformers=transformers.__version__, safetensors=safetensors.__version__)


def report(name, folder, golden):
    size = sum(path.stat().st_size for path in folder.iterdir())
    worst = {key: max(case["float32Deviation"][key] for case in golden["cases"])
             for key in ("logits", "loss", "gradients")}
    print(json.dumps(dict(name=name, sizeBytes=size, versions=golden["versions"], float32Deviation=worst,
                          losses=[case["loss"] for case in golden["cases"]],
                          greedy=golden["greedy"]["continuation"], minMargin=golden["greedy"]["minMargin"])))


def check(condition, message):
    if not condition:
        sys.exit(f"tools/golden/gpt2.py: {message}")


if __name__ == "__main__":
    main()
