"""Golden values for sampling, from the LogitsProcessors of Python `transformers`.

Prints, for each case, the probabilities that a token would be drawn with, as TypeScript literals; those of
`src/generate/sampling.test.ts` were made by it. Usage: `python tools/golden/sampling.py`.

Processors in the order in which `generate` applies them: repetition penalty, temperature, top-k, top-p, min-p.
"""

import json

import torch
from transformers.generation.logits_process import (
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

LOGITS = [2.0, -1.0, 0.5, 3.0, -0.25, 1.5, 0.0, -3.0, 2.5, 0.75]
TIED = [1.0, 2.0, 2.0, 0.0, 2.0, -1.0]

CASES = [
    dict(name="temperature", logits=LOGITS, temperature=0.7),
    dict(name="hot", logits=LOGITS, temperature=2.5),
    dict(name="topK", logits=LOGITS, topK=3),
    dict(name="topK with ties", logits=TIED, topK=2),
    dict(name="topP", logits=LOGITS, topP=0.8),
    dict(name="topP tiny", logits=LOGITS, topP=0.01),
    dict(name="topP after temperature", logits=LOGITS, temperature=1.8, topP=0.6),
    dict(name="minP", logits=LOGITS, minP=0.2),
    dict(name="penalty", logits=LOGITS, previous=[3, 3, 7, 0], repetitionPenalty=1.3),
    dict(name="reward", logits=LOGITS, previous=[1, 4], repetitionPenalty=0.6),
    dict(name="all", logits=LOGITS, previous=[3, 8, 1], repetitionPenalty=1.2, temperature=0.9, topK=7, topP=0.92,
         minP=0.12),
]


def probabilities(case):
    # float64, so that the tolerance of the test is not spent here
    scores = torch.tensor([case["logits"]], dtype=torch.float64)
    ids = torch.tensor([case.get("previous", [])], dtype=torch.long)
    processors = []
    if "repetitionPenalty" in case:
        processors.append(RepetitionPenaltyLogitsProcessor(case["repetitionPenalty"]))
    if "temperature" in case:
        processors.append(TemperatureLogitsWarper(case["temperature"]))
    if "topK" in case:
        processors.append(TopKLogitsWarper(case["topK"]))
    if "topP" in case:
        processors.append(TopPLogitsWarper(case["topP"]))
    if "minP" in case:
        processors.append(MinPLogitsWarper(case["minP"]))
    for processor in processors:
        scores = processor(ids, scores)
    return [float(f"{p:.9g}") for p in scores.softmax(-1)[0].tolist()]


for case in CASES:
    print(json.dumps({**case, "probabilities": probabilities(case)}))
