"""Golden values for sampling, from the LogitsProcessors of Python `transformers`.

Writes, for each case, the probabilities that a token would be drawn with: `test/fixtures/sampling/golden.json`.
Usage: `python tools/golden/sampling.py` in the root of the repository.

Processors come in the order in which `generate` applies them. Frequency and presence penalty, which `transformers` does not have,
come after the repetition penalty and are computed here by the formula of OpenAI's API reference.
"""

import json
import pathlib

import numpy
import torch
import transformers
from transformers.generation import logits_process as lp

LOGITS = [2.0, -1.0, 0.5, 3.0, -0.25, 1.5, 0.0, -3.0, 2.5, 0.75]
TIED = [1.0, 2.0, 2.0, 0.0, 2.0, -1.0]
MANY = [float(x) for x in numpy.round(numpy.random.default_rng(7).normal(0, 3, 160), 3)]

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
    dict(name="typical", logits=LOGITS, typicalP=0.5),
    dict(name="typical, nearly all", logits=LOGITS, typicalP=0.999999),
    dict(name="typical, tiny", logits=LOGITS, typicalP=0.01),
    dict(name="typical with ties", logits=TIED, typicalP=0.3),
    dict(name="typical after top-k", logits=MANY, topK=40, typicalP=0.6, temperature=1.5),
    dict(name="epsilon", logits=LOGITS, epsilonCutoff=0.06),
    dict(name="epsilon above all", logits=TIED, epsilonCutoff=0.9),
    dict(name="eta", logits=LOGITS, etaCutoff=0.02),
    dict(name="eta, many", logits=MANY, etaCutoff=0.003),
    dict(name="no repeated pair", logits=LOGITS, previous=[3, 8, 3, 0, 5, 3], noRepeatNgramSize=2),
    dict(name="no repeated triple", logits=LOGITS, previous=[3, 8, 0, 3, 8, 5, 3, 8], noRepeatNgramSize=3),
    dict(name="no token twice", logits=LOGITS, previous=[3, 8], noRepeatNgramSize=1),
    dict(name="n-gram longer than the text", logits=LOGITS, previous=[3, 8], noRepeatNgramSize=5),
    dict(name="bad words", logits=LOGITS, previous=[1, 3, 8], badWords=[[0], [8, 5], [3, 8, 2], [9, 9, 3], [7, 3, 8, 4]]),
    dict(name="bad word that is an end", logits=LOGITS, previous=[1], badWords=[[3], [8]], endTokens=[3]),
    dict(name="bias", logits=LOGITS, logitBias={"3": -2.5, "7": 6, "0": 0.25}),
    dict(name="bias before the penalty", logits=LOGITS, previous=[3, 7], logitBias={"3": -4, "7": 6},
         repetitionPenalty=1.5),
    dict(name="suppressed", logits=LOGITS, suppressTokens=[3, 0]),
    dict(name="too early to end", logits=LOGITS, previous=[1, 2, 4, 5], promptLength=2, minNewTokens=3, endTokens=[3, 8]),
    dict(name="late enough to end", logits=LOGITS, previous=[1, 2, 4, 5], promptLength=2, minNewTokens=2,
         endTokens=[3, 8]),
    dict(name="frequency and presence", logits=LOGITS, previous=[8, 3, 3, 3, 0], promptLength=2, frequencyPenalty=0.5,
         presencePenalty=0.75),
    dict(name="presence rewarded", logits=LOGITS, previous=[8, 3], promptLength=1, presencePenalty=-1.5),
    dict(name="constraint", logits=LOGITS, allowed=[1, 4, 8], temperature=0.5, topK=2),
    dict(name="everything", logits=MANY, previous=[17, 5, 90, 17, 5, 33, 17], promptLength=3, logitBias={"4": 3, "90": -1},
         repetitionPenalty=1.15, frequencyPenalty=0.3, presencePenalty=0.2, noRepeatNgramSize=2, badWords=[[17, 8], [44]],
         minNewTokens=9, endTokens=[60], suppressTokens=[12, 13], temperature=1.7, topK=90, topP=0.95, minP=0.01,
         typicalP=0.9, epsilonCutoff=0.002, etaCutoff=0.004),
]


class Penalties:
    def __init__(self, frequency, presence, prompt_length):
        self.frequency, self.presence, self.prompt_length = frequency, presence, prompt_length

    def __call__(self, ids, scores):
        counts = torch.zeros_like(scores)
        for token in ids[0, self.prompt_length:].tolist():
            counts[0, token] += 1
        return scores - counts * self.frequency - (counts > 0) * self.presence


def processors(case):
    ends = case.get("endTokens", [])
    prompt_length = case.get("promptLength", len(case.get("previous", [])))
    if "logitBias" in case:
        yield lp.SequenceBiasLogitsProcessor({(int(id),): float(bias) for id, bias in case["logitBias"].items()})
    if "repetitionPenalty" in case:
        yield lp.RepetitionPenaltyLogitsProcessor(case["repetitionPenalty"])
    if "frequencyPenalty" in case or "presencePenalty" in case:
        yield Penalties(case.get("frequencyPenalty", 0), case.get("presencePenalty", 0), prompt_length)
    if "noRepeatNgramSize" in case:
        yield lp.NoRepeatNGramLogitsProcessor(case["noRepeatNgramSize"])
    if "badWords" in case:
        yield lp.NoBadWordsLogitsProcessor(case["badWords"], ends or None)
    if "minNewTokens" in case:
        yield lp.MinNewTokensLengthLogitsProcessor(prompt_length, case["minNewTokens"], ends)
    if "allowed" in case:
        yield lp.PrefixConstrainedLogitsProcessor(lambda batch, ids: case["allowed"], 1)
    if "suppressTokens" in case:
        yield lp.SuppressTokensLogitsProcessor(case["suppressTokens"])
    if "temperature" in case:
        yield lp.TemperatureLogitsWarper(case["temperature"])
    if "topK" in case:
        yield lp.TopKLogitsWarper(case["topK"])
    if "topP" in case:
        yield lp.TopPLogitsWarper(case["topP"])
    if "minP" in case:
        yield lp.MinPLogitsWarper(case["minP"])
    if "typicalP" in case:
        yield lp.TypicalLogitsWarper(case["typicalP"])
    if "epsilonCutoff" in case:
        yield lp.EpsilonLogitsWarper(case["epsilonCutoff"])
    if "etaCutoff" in case:
        yield lp.EtaLogitsWarper(case["etaCutoff"])


def probabilities(case):
    # float64, so that the tolerance of the test is not spent here
    scores = torch.tensor([case["logits"]], dtype=torch.float64)
    ids = torch.tensor([case.get("previous", [])], dtype=torch.long)
    for processor in processors(case):
        scores = processor(ids, scores)
    return [float(f"{p:.9g}") for p in scores.softmax(-1)[0].tolist()]


def log_softmax(logits):
    values = torch.tensor(logits, dtype=torch.float64).log_softmax(-1)
    top = torch.sort(values, descending=True, stable=True)
    return [[int(i), float(f"{v:.12g}")] for i, v in zip(top.indices.tolist(), top.values.tolist())]


cases = [json.dumps({**case, "probabilities": probabilities(case)}) for case in CASES]
logprobs = [json.dumps({"logits": logits, "sorted": log_softmax(logits)}) for logits in (LOGITS, TIED, MANY)]
folder = pathlib.Path("test/fixtures/sampling")
folder.mkdir(parents=True, exist_ok=True)
text = (f'{{"transformers": "{transformers.__version__}",\n"cases": [\n' + ",\n".join(cases) + '\n],\n"logprobs": [\n'
        + ",\n".join(logprobs) + "\n]}\n")
(folder / "golden.json").write_text(text)
