"""Whether Python transformers and bitsandbytes read an nf4 directory of `plinth quantize` as Plinth does.

    check_bnb4.py DIR TOKENS.json LOGITS.f32

Prints the largest difference to Plinth's logits (little-endian float32, one sequence). Matrices are dequantised first: on the
CPU bitsandbytes multiplies in bfloat16.
"""

import json
import sys

import bitsandbytes as bnb
import bitsandbytes.functional as F
import numpy as np
import torch
from transformers import AutoModelForCausalLM


def dense(layer):
    weight = F.dequantize_4bit(layer.weight.data, layer.weight.quant_state).float()
    linear = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=layer.bias is not None)
    linear.weight.data = weight
    if layer.bias is not None:
        linear.bias.data = layer.bias.data.float()
    return linear


def main(directory, tokens, logits):
    model = AutoModelForCausalLM.from_pretrained(directory, device_map="cpu", dtype=torch.float32)
    layers = [(name, layer) for name, layer in model.named_modules() if isinstance(layer, bnb.nn.Linear4bit)]
    for name, layer in layers:
        parent, _, own = name.rpartition(".")
        setattr(model.get_submodule(parent), own, dense(layer))
    with torch.no_grad():
        theirs = model(torch.tensor([json.load(open(tokens))])).logits.numpy().ravel()
    ours = np.fromfile(logits, dtype="<f4")
    print(json.dumps({"matrices": len(layers), "largestDifference": float(np.abs(theirs - ours).max())}))


main(*sys.argv[1:])
