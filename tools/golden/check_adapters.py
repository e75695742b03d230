"""Loads adapters that Plinth saved with Python `peft` and prints what it computes with them.

Usage: `python tools/golden/check_adapters.py DIR > RECORD.json`

Each folder in DIR is an adapter; `base_model_name_or_path` in its configuration is a checkpoint in test/fixtures. For each the record
has `sha256` of its two files, what `peft` warned of while loading (deprecations of its own left out), the inputs, and the logits in float64.
"""

import hashlib
import json
import sys
import warnings
from pathlib import Path

import numpy as np
import peft
import torch
import transformers
from peft_adapters import CAUSAL, CLASSIFIER, FIXTURES, load_base, make_inputs, pack


def main():
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    folders = sorted(path for path in Path(sys.argv[1]).iterdir() if path.is_dir())
    records = {folder.name: check(folder, seed) for seed, folder in enumerate(folders)}
    versions = dict(peft=peft.__version__, transformers=transformers.__version__, torch=torch.__version__)
    print(json.dumps(dict(versions=versions, adapters=records), separators=(",", ":")))


def check(folder, seed):
    config = json.loads((folder / "adapter_config.json").read_text())
    base = FIXTURES / config["base_model_name_or_path"]
    spec = CAUSAL if config["task_type"] == "CAUSAL_LM" else CLASSIFIER
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = peft.PeftModel.from_pretrained(load_base(spec, base), folder).double().eval()
    inputs = make_inputs(model.config, spec, np.random.default_rng(seed))
    with torch.no_grad():
        logits = model(**inputs).logits
    if spec is CAUSAL:
        logits = logits[:, -inputs["input_ids"].shape[1]:]  # without those of virtual tokens
    return dict(
        sha256={name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
                for name in ("adapter_config.json", "adapter_model.safetensors")},
        warnings=[str(item.message) for item in caught if "deprecated" not in str(item.message)],
        inputs={key: value.tolist() for key, value in inputs.items()}, logits=pack(logits))


if __name__ == "__main__":
    main()
