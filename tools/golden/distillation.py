"""Golden values of distillation (Hinton et al. 2015): losses and gradients in float64, by torch.

Run from the repository root:

    python tools/golden/distillation.py       # test/fixtures/distillation/golden.json
"""

import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

TARGET = Path(__file__).resolve().parents[2] / "test" / "fixtures" / "distillation" / "golden.json"
TOKENS, VOCABULARY = 6, 9


def main():
    generator = np.random.default_rng(3)
    student = np.round(2 * generator.standard_normal((TOKENS, VOCABULARY)), 4)
    teacher = np.round(3 * generator.standard_normal((TOKENS, VOCABULARY)), 4)
    targets = np.array([4, -1, 0, 8, -1, 3])
    kept = torch.tensor(targets) >= 0
    cases = []
    for share, temperature, k in [(0.5, 2.0, None), (0.0, 1.0, None), (0.2, 4.0, 3), (1.0, 2.0, None), (0.0, 0.5, 1)]:
        logits = torch.tensor(student, dtype=torch.float64, requires_grad=True)
        scores = torch.tensor(teacher, dtype=torch.float64)
        labels = F.cross_entropy(logits[kept], torch.tensor(targets)[kept])
        log_student = F.log_softmax(logits / temperature, dim=-1)
        if k is None:
            log_teacher = F.log_softmax(scores / temperature, dim=-1)
        else:
            values, ids = scores.topk(k, dim=-1)
            log_teacher = F.log_softmax(values / temperature, dim=-1)
            log_student = log_student.gather(-1, ids)
        divergence = F.kl_div(log_student[kept], log_teacher[kept], reduction="batchmean", log_target=True)
        loss = share * labels + (1 - share) * temperature**2 * divergence
        (gradient,) = torch.autograd.grad(loss, logits)
        cases.append({"labelShare": share, "temperature": temperature, **({} if k is None else {"topK": k}),
                      "loss": loss.item(), "gradient": gradient.flatten().tolist()})
    golden = {"torch": torch.__version__, "vocabulary": VOCABULARY, "student": student.flatten().tolist(),
              "teacher": teacher.flatten().tolist(), "targets": targets.tolist(), "cases": cases}
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_text(json.dumps(golden, separators=(",", ":")) + "\n")


main()
