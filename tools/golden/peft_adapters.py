"""Writes PEFT adapters of random weights for the tiny checkpoints in test/fixtures, and what Python `peft` computes with them.

Usage: `python tools/golden/peft_adapters.py [DIR]`, by default to test/fixtures/peft. One folder an adapter, as `save_pretrained`
writes it, and `golden.json`: inputs, and logits in float64 from the float32 weights.
"""

import base64
import json
import shutil
import sys
import warnings
from pathlib import Path

import numpy as np
import peft
import torch
import transformers
from peft import IA3Config, LoraConfig, PrefixTuningConfig, PromptTuningConfig, TaskType, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

FIXTURES = Path("test/fixtures")
CAUSAL = dict(model=AutoModelForCausalLM, task=TaskType.CAUSAL_LM)
CLASSIFIER = dict(model=AutoModelForSequenceClassification, task=TaskType.SEQ_CLS)

# Between them: every way to name targets, suffixes that occur twice in a layer, layers of their own rank and alpha, a head that
# is trained whole, a layer of a head, weights stored (in, out) and (out, in).
ADAPTERS = {
    "gpt2-lora": dict(
        base="gpt2/prefixed", **CAUSAL,
        config=LoraConfig(r=3, lora_alpha=6, target_modules=["c_attn", "c_proj"], fan_in_fan_out=True,
                          rank_pattern={r"h\.1\.attn\.c_attn": 5}, alpha_pattern={"mlp.c_proj": 2})),
    "gpt2-dora": dict(
        base="gpt2/prefixed", **CAUSAL,
        config=LoraConfig(r=2, lora_alpha=5, target_modules=r".*\.(c_fc|attn\.c_proj)", fan_in_fan_out=True, use_dora=True)),
    "mistral-rslora": dict(
        base="mistral/mistral", **CAUSAL,
        config=LoraConfig(r=4, lora_alpha=3, target_modules="all-linear", use_rslora=True)),
    "llama-dora": dict(
        base="mistral/llama", **CAUSAL,
        config=LoraConfig(r=2, lora_alpha=4, target_modules=["q_proj", "v_proj", "down_proj"], use_dora=True,
                          layers_to_transform=[1], exclude_modules=["layers.1.self_attn.v_proj"])),
    "bert-lora": dict(
        base="bert/single-label", **CLASSIFIER,
        config=LoraConfig(r=3, lora_alpha=9, target_modules=["query", "value", "dense"])),
    "bert-dora": dict(
        base="bert/single-label", **CLASSIFIER,
        config=LoraConfig(r=2, lora_alpha=2, target_modules=["key", "intermediate.dense"], use_dora=True)),
}


ADAPTERS |= {
    "gpt2-ia3": dict(
        base="gpt2/prefixed", **CAUSAL,
        config=IA3Config(target_modules=["c_attn", "mlp.c_proj"], feedforward_modules=["mlp.c_proj"], fan_in_fan_out=True)),
    "mistral-ia3": dict(
        base="mistral/mistral", **CAUSAL,
        config=IA3Config(target_modules=r".*\.(k_proj|v_proj|down_proj)", feedforward_modules=r".*\.down_proj")),
    "bert-ia3": dict(
        base="bert/single-label", **CLASSIFIER,
        config=IA3Config(target_modules=["key", "layer.0.output.dense"], feedforward_modules=["layer.0.output.dense"])),
    "gpt2-prompt": dict(base="gpt2/prefixed", **CAUSAL, config=PromptTuningConfig(num_virtual_tokens=4)),
    "qwen2-prompt": dict(base="mistral/qwen2", **CAUSAL, config=PromptTuningConfig(num_virtual_tokens=3)),
    "gpt2-prefix": dict(base="gpt2/prefixed", **CAUSAL, config=PrefixTuningConfig(num_virtual_tokens=3)),
    "qwen2-prefix": dict(base="mistral/qwen2", **CAUSAL, config=PrefixTuningConfig(num_virtual_tokens=2)),
}


def main():
    out = Path(sys.argv[1] if len(sys.argv) > 1 else FIXTURES / "peft")
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    warnings.simplefilter("ignore")
    for seed, (name, spec) in enumerate(ADAPTERS.items()):
        write_adapter(out / name, np.random.default_rng(seed + 1), spec)


def write_adapter(folder, rng, spec):
    base = FIXTURES / spec["base"]
    config = spec["config"]
    config.task_type = spec["task"]
    model = get_peft_model(load_base(spec, base), config)
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    randomize(folder / "adapter_model.safetensors", rng)
    tidy_config(folder / "adapter_config.json", spec["base"])
    (folder / "README.md").unlink()
    adapted = peft.PeftModel.from_pretrained(load_base(spec, base), folder).double().eval()
    inputs = make_inputs(adapted.config, spec, rng)
    with torch.no_grad():
        logits = adapted(**inputs).logits
        if spec["task"] == TaskType.CAUSAL_LM:
            logits = logits[:, -inputs["input_ids"].shape[1]:]  # without those of virtual tokens
        plain = load_base(spec, base).double().eval()(**inputs).logits
    difference = (logits - plain).abs().max().item()
    check(difference > 0.05, f"{folder}: the adapter hardly changes anything: {difference}")
    golden = dict(base=spec["base"], versions=dict(peft=peft.__version__, transformers=transformers.__version__,
                                                   torch=torch.__version__),
                  inputs={key: value.tolist() for key, value in inputs.items()}, logits=pack(logits))
    (folder / "golden.json").write_text(json.dumps(golden, separators=(",", ":")) + "\n")
    print(json.dumps(dict(name=folder.name, difference=difference,
                          sizeBytes=sum(path.stat().st_size for path in folder.iterdir()))))


def load_base(spec, base):
    return spec["model"].from_pretrained(base, dtype=torch.float32, attn_implementation="eager")


def randomize(path, rng):
    """Random values for all, B included, which starts at zero; DoRA's lengths and factors of (IA)3 stay near what they start as."""
    tensors = {}
    for name, tensor in sorted(load_file(path).items()):
        noise = torch.from_numpy(rng.normal(0, 0.3, tuple(tensor.shape)).astype(np.float32))
        tensors[name] = tensor * (1 + noise) if name.endswith(("lora_magnitude_vector", "ia3_l")) else noise
    save_file(tensors, path, metadata={"format": "pt"})


def tidy_config(path, base):
    """Sets become lists in no order: sorted here, so that the script writes the same bytes again."""
    config = json.loads(path.read_text())
    for key in ("target_modules", "exclude_modules", "feedforward_modules", "modules_to_save"):
        if isinstance(config.get(key), list):
            config[key].sort()
    config["base_model_name_or_path"] = str(base)
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def make_inputs(config, spec, rng):
    shape = (2, 7)
    tokens = torch.from_numpy(rng.integers(0, config.vocab_size, shape))
    mask = torch.ones(shape, dtype=torch.long)
    if spec["task"] == TaskType.CAUSAL_LM:
        return dict(input_ids=tokens, attention_mask=mask)
    mask[1, 5:] = 0
    return dict(input_ids=tokens, attention_mask=mask,
                token_type_ids=torch.from_numpy(rng.integers(0, config.type_vocab_size, shape)))


def pack(tensor):
    return dict(shape=list(tensor.shape), float32=base64.b64encode(tensor.numpy().astype("<f4").tobytes()).decode())


def check(condition, message):
    if not condition:
        raise SystemExit(message)


if __name__ == "__main__":
    main()
