"""Golden values for 8-bit optimizer state: bitsandbytes' dynamic codes, and blocks of 256 coded by them.

Writes `test/fixtures/optimizer/dynamic-code.json`. Usage: `python tools/golden/dynamic_code.py` in the root of the repository.
"""

import json
import pathlib

import numpy
import torch
from bitsandbytes.functional import create_dynamic_map, quantize_blockwise

BLOCK = 256
random = numpy.random.default_rng(8)


def code(signed, values):
    levels = create_dynamic_map(signed=signed)
    codes, state = quantize_blockwise(torch.from_numpy(values), code=levels, blocksize=BLOCK)
    return dict(
        levels=[float(x) for x in levels],
        values=[float(x) for x in values],
        codes=codes.flatten().tolist(),
        scales=[float(x) for x in state.absmax],
    )


# Gradients as they are: normally distributed, each row of a size of its own; one block of zeros.
first = random.standard_normal((4, BLOCK)) * 10.0 ** random.uniform(-6, -1, (4, 1))
first[:, ::7] *= 10.0 ** random.uniform(-5, 0, (4, len(range(0, BLOCK, 7))))
first[3] = 0
golden = dict(
    signed=code(True, first.astype(numpy.float32).flatten()),
    unsigned=code(False, (first.astype(numpy.float32) ** 2).flatten()),
)
path = pathlib.Path("test/fixtures/optimizer/dynamic-code.json")
path.parent.mkdir(parents=True, exist_ok=True)
path.write_text(json.dumps(golden) + "\n")
