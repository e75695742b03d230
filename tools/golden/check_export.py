"""Loads a model directory written by Plinth with Python `transformers` and prints what it sees.

Usage: `python tools/golden/check_export.py DIR INPUT.json > RECORD.json`

INPUT.json: `{"tokens": [[…], …], "texts": ["…", …], "greedyTokens": N}`; `texts` and `greedyTokens` may be
left out, and `texts` needs a `tokenizer.json` in DIR. The JSON printed on stdout:

  versions      of the Python packages
  weightsSha256 of every safetensors file in DIR, so a recorded answer belongs to one set of weights
  configSha256  of config.json: a record belongs to one configuration, too
  architecture  the class AutoModelForCausalLM chose
  missing       parameters transformers wants that the file lacks (a tied head is not missing)
  unexpected    tensors in the file that transformers does not know
  mismatched    tensors of the wrong shape
  logits        one array for each row of tokens, (T, V), little-endian float32 in base64
  greedy        for each row, the argmax continuation by transformers' own `generate` (with `greedyTokens`)
  encodings     `{ids, decoded}` for each text

For an encoder INPUT.json is one padded batch, `{"tokens": [[…], …], "segments": [[…], …], "mask": [[…], …]}`, and in place of
`logits` there is `outputs`: everything that the class named in `config.json` returns, by name.
"""

import base64
import hashlib
import json
import sys
from pathlib import Path

import tokenizers
import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: check_export.py DIR INPUT.json")
    folder = Path(sys.argv[1])
    request = json.loads(Path(sys.argv[2]).read_text())
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()

    is_encoder = "mask" in request
    architecture = json.loads((folder / "config.json").read_text())["architectures"][0]
    kind = getattr(transformers, architecture) if is_encoder else AutoModelForCausalLM
    model, info = kind.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager", output_loading_info=True, local_files_only=True)
    model.eval()
    result = dict(
        versions=dict(torch=torch.__version__, transformers=transformers.__version__,
                      tokenizers=tokenizers.__version__),
        weightsSha256={path.name: hashlib.sha256(path.read_bytes()).hexdigest()
                       for path in sorted(folder.glob("*.safetensors"))},
        configSha256=hashlib.sha256((folder / "config.json").read_bytes()).hexdigest(),
        architecture=type(model).__name__,
        missing=sorted(info["missing_keys"]),
        unexpected=sorted(info["unexpected_keys"]),
        mismatched=sorted(str(item) for item in info["mismatched_keys"]),
        **(dict(outputs=encode_batch(model, request)) if is_encoder
           else dict(logits=[logits(model, row) for row in request["tokens"]])),
    )
    if "greedyTokens" in request:
        result["greedy"] = [greedy(model, row, request["greedyTokens"]) for row in request["tokens"]]
    if "texts" in request:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        result["encodings"] = [encode(tokenizer, text) for text in request["texts"]]
    print(json.dumps(result))


@torch.no_grad()
def logits(model, tokens):
    return pack(model(torch.tensor([tokens])).logits[0])


@torch.no_grad()
def encode_batch(model, request):
    tokens, segments, mask = (torch.tensor(request[key]) for key in ("tokens", "segments", "mask"))
    output = model(tokens, token_type_ids=segments, attention_mask=mask)
    return {name: pack(value) for name, value in output.items()}


def pack(values):
    data = values.contiguous().numpy().astype("<f4").tobytes()
    return dict(shape=list(values.shape), float32=base64.b64encode(data).decode())


@torch.no_grad()
def greedy(model, tokens, count):
    # A table of positions ends; rotary positions do not.
    room = getattr(model.config, "n_positions", sys.maxsize) - len(tokens) + 1
    if count > room:
        sys.exit(f"check_export.py: greedyTokens: expected at most {room} after {len(tokens)} tokens, got {count}")
    model.generation_config.eos_token_id = None  # never stop early: the comparison wants all of them
    prompt = torch.tensor([tokens])
    output = model.generate(prompt, attention_mask=torch.ones_like(prompt), do_sample=False, max_new_tokens=count)
    return output[0, len(tokens):].tolist()


def encode(tokenizer, text):
    ids = tokenizer.encode(text, add_special_tokens=False)
    return dict(ids=ids, decoded=tokenizer.decode(ids, clean_up_tokenization_spaces=False))


if __name__ == "__main__":
    main()
