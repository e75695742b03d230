"""What every byte of the two 8-bit floats stands for, from PyTorch: test/fixtures/hub/float8.json.

Made with Python 3 and torch 2.13.0. Run from the repository root: python tools/golden/float8.py
"""

import base64
import json
from pathlib import Path

import torch

TARGET = Path(__file__).resolve().parents[2] / "test" / "fixtures" / "hub" / "float8.json"
TYPES = {"F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2}

bytes_ = torch.arange(256, dtype=torch.int32).to(torch.uint8)
values = {name: bytes_.view(dtype).to(torch.float32).numpy().astype("<f4").tobytes() for name, dtype in TYPES.items()}
TARGET.parent.mkdir(parents=True, exist_ok=True)
TARGET.write_text(json.dumps({name: base64.b64encode(data).decode() for name, data in values.items()}, indent=1) + "\n")
