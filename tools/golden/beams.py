"""Golden values for beam search, from Python `transformers`' `generate(num_beams=…)`.

Searches with the tiny GPT-2 checkpoint of `gpt2.py` and writes `test/fixtures/beams/golden.json`: for each case the options in
Plinth's names, and the texts found with their scores. Usage: `python tools/golden/beams.py` in the root of the repository.
"""

import json
import pathlib

import torch
import transformers
from transformers import GPT2LMHeadModel

STOPPING = {"full": True, "likely": False, "never": "never"}

CASES = [
    dict(beams=3, maxTokens=8),
    dict(beams=4, maxTokens=14, stopTokens=[45]),
    dict(beams=4, maxTokens=20, stopTokens=[14, 52, 56, 66], numTexts=4),
    dict(beams=4, maxTokens=20, stopTokens=[14, 52, 56, 66], numTexts=4, stopping="full"),
    dict(beams=4, maxTokens=20, stopTokens=[14, 52, 56, 66], numTexts=4, stopping="never"),
    dict(beams=5, maxTokens=18, stopTokens=[14, 45, 66, 69, 8], lengthPenalty=2.0, numTexts=3),
    dict(beams=5, maxTokens=18, stopTokens=[14, 45, 66, 69, 8], lengthPenalty=2.0, stopping="never", numTexts=3),
    dict(beams=5, maxTokens=18, stopTokens=[14, 45, 66, 69, 8], lengthPenalty=-0.5, numTexts=3),
    dict(beams=2, maxTokens=12, sampling=dict(repetitionPenalty=1.4, noRepeatNgramSize=2)),
    dict(beams=3, maxTokens=12, stopTokens=[95], sampling=dict(minNewTokens=6), numTexts=3),
]


def main():
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    model = GPT2LMHeadModel.from_pretrained("test/fixtures/gpt2/prefixed").double()
    prompts = [[5, 17, 40, 2, 88, 31], [60, 61, 62]]
    cases = [search(model, prompt, case) for case in CASES for prompt in prompts]
    path = pathlib.Path("test/fixtures/beams/golden.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    versions = dict(torch=torch.__version__.split("+")[0], transformers=transformers.__version__)
    path.write_text(json.dumps(dict(versions=versions, cases=cases), indent=1) + "\n")


def search(model, prompt, case):
    sampling = case.get("sampling", {})
    stop = case.get("stopTokens")
    out = model.generate(
        torch.tensor([prompt]),
        attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
        num_beams=case["beams"],
        num_return_sequences=case.get("numTexts", 1),
        max_new_tokens=case["maxTokens"],
        eos_token_id=stop,
        pad_token_id=0 if stop is None else stop[0],
        length_penalty=case.get("lengthPenalty", 1.0),
        early_stopping=STOPPING[case.get("stopping", "likely")],
        repetition_penalty=sampling.get("repetitionPenalty", 1.0),
        no_repeat_ngram_size=sampling.get("noRepeatNgramSize", 0),
        min_new_tokens=sampling.get("minNewTokens", 0),
        do_sample=False,
        return_dict_in_generate=True,
        output_scores=True,
    )
    return dict(prompt=prompt, **case, found=[
        dict(tokens=cut(sequence[len(prompt):].tolist(), stop or []), score=score)
        for sequence, score in zip(out.sequences, out.sequences_scores.tolist())
    ])


def cut(tokens, stop):
    ends = [i for i, token in enumerate(tokens) if token in stop]
    return tokens[: ends[0]] if ends else tokens


if __name__ == "__main__":
    main()
