"""Quantised matrices by numpy, and NF4 by bitsandbytes: test/fixtures/quantization/golden.json.

int4 and int8 follow the definition in src/core/weights.ts, worked out here in float64 for all blocks at once: among a few
factors on the scale that reaches just to the outermost number, the one of least squared error.
"""

import base64
import json
from pathlib import Path

import bitsandbytes as bnb
import bitsandbytes.functional as F
import numpy as np
import torch

ROWS, ROW_SIZE = 5, 256
SYMMETRIC = [1, 1.15, 1.1, 1.05, 0.95, 0.9, 0.85, 0.8]
SPANNING = [1, 0.95, 0.9, 0.85, 0.8, 0.75]


def encode(array):
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


def matrix():
    rng = np.random.default_rng(20)
    values = rng.standard_t(4, (ROWS, ROW_SIZE)).astype(np.float32)
    values[1, 128:256] = 0  # whole blocks of zeros
    values[2, :] = np.abs(values[2, :]) + 1  # nothing below zero
    values[3, 7] = 40  # an outlier
    values[4, :] *= 1e-20
    return values


def steps(values, block_size, bits, zero_points):
    half, top = 2 ** (bits - 1), 2**bits - 1
    blocks = values.reshape(-1, block_size).astype(np.float64)
    low, high = np.minimum(blocks.min(1), 0), np.maximum(blocks.max(1), 0)
    full = (high - low) / top if zero_points else np.where(high > -low, high, low) / -half
    best = np.full(len(blocks), np.inf)
    codes = np.full(blocks.shape, half)
    scales, zeros = np.zeros(len(blocks), np.float32), np.full(len(blocks), half)
    for factor in [1] if bits == 8 else SPANNING if zero_points else SYMMETRIC:
        scale = (full * factor).astype(np.float32)
        used = scale != 0
        safe = np.where(used, scale, 1).astype(np.float64)
        zero = np.clip(np.floor(-low * factor / safe + 0.5), 0, top) if zero_points else np.full(len(blocks), half)
        code = np.clip(np.floor(blocks * (1 / safe)[:, None] + 0.5) + zero[:, None], 0, top)
        error = ((blocks - (code - zero[:, None]) * safe[:, None]) ** 2).sum(1)
        better = used & (error < best)
        best[better], scales[better], zeros[better] = error[better], scale[better], zero[better]
        codes[better] = code[better]
    codes = codes.astype(np.uint8).reshape(ROWS, -1)
    zeros = zeros.astype(np.uint8).reshape(ROWS, -1)
    exact = (codes.reshape(len(blocks), -1).astype(np.float64) - zeros.reshape(-1, 1)) * scales[:, None].astype(np.float64)
    result = {"scales": encode(scales), "dequantized": encode(exact.astype(np.float32))}
    if bits == 4:
        codes = codes[:, 0::2] | codes[:, 1::2] << 4
        padded = np.pad(zeros, ((0, 0), (0, zeros.shape[1] % 2)))
        zeros = padded[:, 0::2] | padded[:, 1::2] << 4
    result["values"] = encode(codes)
    if zero_points:
        result["zeros"] = encode(zeros)
    return result


def nf4(values, block_size):
    packed, state = F.quantize_4bit(torch.from_numpy(values), blocksize=block_size, quant_type="nf4")
    return {
        "values": encode(packed.numpy()),
        "scales": encode(state.absmax.numpy()),
        "levels": encode(state.code.numpy()),
        "dequantized": encode(F.dequantize_4bit(packed, state).numpy()),
    }


def nested(values):
    """Double quantisation: what is stored, and the scales it stands for."""
    packed, state = F.quantize_4bit(torch.from_numpy(values), blocksize=64, quant_type="nf4", compress_statistics=True)
    absmax = F.dequantize_blockwise(state.absmax, state.state2) + state.offset
    parts = {name: tensor for name, tensor in state.as_dict(packed=True).items()}
    stored = {name: {"dtype": str(t.dtype).split(".")[1], "bytes": encode(t.numpy())} for name, t in parts.items()}
    return {"values": encode(packed.numpy()), "stored": stored, "scales": encode(absmax.numpy())}


def main():
    values = matrix()
    cases = []
    for scheme, bits in (("int4", 4), ("int8", 8)):
        for block_size in (32, 128):
            for zero_points in (False, True):
                case = {"scheme": scheme, "blockSize": block_size, "zeroPoints": zero_points}
                cases.append({**case, **steps(values, block_size, bits, zero_points)})
    for block_size in (64, 128):
        cases.append({"scheme": "nf4", "blockSize": block_size, "zeroPoints": False, **nf4(values, block_size)})
    golden = {
        "versions": {"numpy": np.__version__, "bitsandbytes": bnb.__version__, "torch": torch.__version__},
        "shape": [ROWS, ROW_SIZE],
        "matrix": encode(values),
        "cases": cases,
        "nested": nested(values),
    }
    path = Path(__file__).parents[2] / "test/fixtures/quantization/golden.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(golden, indent=1) + "\n")


main()
