"""Losses of tasks with labels and their gradients by the scores, from PyTorch in float64.

Usage: `python tools/golden/task_losses.py [OUT]`, by default to test/fixtures/tasks/losses.json.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

IGNORED = -100


def main():
    out = Path(sys.argv[1] if len(sys.argv) > 1 else "test/fixtures/tasks/losses.json")
    rng = np.random.default_rng(7)
    # Float32 numbers, some of them large: what is not stable shows.
    scores = lambda *shape: (rng.standard_normal(shape) * 3).astype(np.float32)
    weights = [0.5, 2.0, 1.25, 0.25]
    classes = scores(6, 4)
    classes[0, 2] = 90
    labels = [2, 0, 3, IGNORED, 1, 1]
    texts, values = scores(5, 3), scores(5, 1)
    texts[1] = [80, -80, 0]
    truths = (rng.random((5, 3)) > 0.5).astype(np.float64)
    targets = rng.standard_normal((5, 1)).astype(np.float32)
    ends, places = scores(2, 4, 7), [[2, 0, 6, 1], [3, 0, 6, 5]]

    label = torch.tensor(labels)
    weight = torch.tensor(weights, dtype=torch.float64)
    truth, target = torch.tensor(truths), torch.tensor(targets, dtype=torch.float64)
    cases = []
    for smoothing in (0.0, 0.1):
        for name, by in (("class", None), ("weighted class", weight)):
            run = lambda x: F.cross_entropy(x, label, weight=by, ignore_index=IGNORED, label_smoothing=smoothing)
            cases.append(case(name, classes, run, labels=labels, weights=None if by is None else weights, labelSmoothing=smoothing))
    for name, by in (("binary", None), ("weighted binary", torch.tensor([3.0, 1.0, 0.5], dtype=torch.float64))):
        run = lambda x: F.binary_cross_entropy_with_logits(x, truth, pos_weight=by)
        cases.append(case(name, texts, run, truths=truths.tolist(), weights=None if by is None else by.tolist(), labelSmoothing=0.0))
    cases.append(case("squared", values, lambda x: F.mse_loss(x, target), values=targets.tolist()))
    start, end = torch.tensor(places)
    run = lambda x: (F.cross_entropy(x[0], start) + F.cross_entropy(x[1], end)) / 2
    cases.append(case("answer", ends, run, places=places))
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(dict(versions=dict(torch=torch.__version__), cases=cases), separators=(",", ":")) + "\n")


def case(name, scores, run, **rest):
    x = torch.tensor(scores.astype(np.float64), requires_grad=True)
    loss = run(x)
    loss.backward()
    return dict(name=name, scores=scores.tolist(), loss=loss.item(), gradient=x.grad.tolist(), **rest)


if __name__ == "__main__":
    main()
