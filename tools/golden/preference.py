"""Golden values for preference tuning, from the losses of Python `trl`.

Draws scores of tokens for a few texts and has trl's own trainers compute their losses, and torch the gradients by the scores, in
float64: `DPOTrainer._compute_loss`, `RewardTrainer.compute_loss` and `GRPOTrainer._compute_loss`, each called with a stand-in
for the trainer that holds the options, and for the model that returns the scores. Writes `test/fixtures/preference/golden.json`.
Usage: `python tools/golden/preference.py` in the root of the repository. Needs trl, accelerate and datasets.
"""

import contextlib
import json
import pathlib
from types import SimpleNamespace
from collections import defaultdict

import numpy
import torch
import trl
from trl.trainer.dpo_trainer import DPOTrainer
from trl.trainer.grpo_trainer import GRPOTrainer
from trl.trainer.reward_trainer import RewardTrainer
from trl.trainer.utils import nanstd, selective_log_softmax

# Sizes that are divided by are powers of two: such constants are the same in float32.
B, T, V = 8, 7, 7
# Where completions begin and end; position t of the targets is token t + 1.
SPANS = [(2, 7), (2, 5), (1, 4), (1, 6), (3, 7), (3, 4), (2, 3), (2, 6)]


def main():
    torch.set_num_threads(1)
    random = numpy.random.default_rng(20)
    logits = torch.tensor(random.normal(size=(B, T, V)) * 2)
    targets = torch.tensor(random.integers(0, V, size=(B, T)))
    mask = torch.zeros(B, T, dtype=torch.long)
    for row, (start, end) in enumerate(SPANS):
        mask[row, start:end] = 1
    golden = dict(
        versions=dict(trl=trl.__version__, torch=torch.__version__.split("+")[0]),
        logits=listed(logits),
        targets=targets.masked_fill(mask == 0, -1).tolist(),
        shape=[B, T, V],
        dpo=dpo_cases(random, logits, targets, mask),
        reward=reward_cases(random),
        grpo=grpo_cases(random, logits, targets, mask),
        advantages=advantages(random),
    )
    path = pathlib.Path("test/fixtures/preference/golden.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(golden) + "\n")


def listed(tensor):
    return tensor.detach().double().flatten().tolist()


class Accelerator:
    """The parts that losses use, for one process."""

    device = torch.device("cpu")
    num_processes = 1

    def gather(self, tensor):
        return tensor

    def gather_for_metrics(self, tensor):
        return tensor

    def reduce(self, tensor, reduction):
        return tensor

    def autocast(self):
        return contextlib.nullcontext()


def trainer(**options):
    model = SimpleNamespace(training=False)
    metrics = dict(train=defaultdict(list), eval=defaultdict(list))
    common = dict(model=model, accelerator=Accelerator(), _metrics=metrics, aux_loss_enabled=False, _total_train_tokens=0)
    return SimpleNamespace(**common, **options)


def log_probs(logits, targets, mask):
    """Of completions, as the fused head of trl returns them: zero elsewhere."""
    return selective_log_softmax(logits, targets) * mask


def dpo_cases(random, logits, targets, mask):
    reference = torch.tensor(random.normal(size=B) * 3) + log_probs(logits, targets, mask).sum(1)
    cases = []
    for kind, beta, swapped, free, supervised in [
        ("sigmoid", 0.125, False, False, 0.0),
        ("sigmoid", 0.5, False, False, 0.0),
        ("sigmoid", 0.5, True, False, 0.0),
        ("sigmoid", 0.5, False, True, 0.0),
        ("ipo", 0.125, False, False, 0.0),
        ("ipo", 0.5, False, False, 0.0),
        ("sigmoid", 0.5, False, False, 0.25),
    ]:
        scores = logits.clone().requires_grad_()
        # Ours are side by side, trl's are first all chosen and then all rejected.
        sides = [list(range(0, B, 2)), list(range(1, B, 2))]
        order = sum(sides if not swapped else sides[::-1], [])
        token_mask = torch.cat([torch.zeros(B, 1, dtype=torch.long), mask], 1)[order]
        ref = torch.zeros(B, dtype=torch.float64) if free else reference
        outputs = SimpleNamespace(
            log_probs=log_probs(scores, targets, mask)[order],
            entropy=torch.zeros(B, T),
            mean_logits=torch.zeros(B, T),
            is_top1=torch.zeros(B, T, dtype=torch.bool),
        )
        self = trainer(
            ld_alpha=None,
            precompute_ref_logps=True,
            f_divergence_type="reverse_kl",
            loss_types=[kind, "sft"] if supervised else [kind],
            loss_weights=[1.0, supervised] if supervised else [1.0],
            beta=beta,
            use_weighting=False,
        )
        inputs = dict(
            input_ids=torch.zeros(B, T + 1, dtype=torch.long),
            completion_mask=token_mask,
            attention_mask=token_mask,
            ref_chosen_logps=ref[order[: B // 2]],
            ref_rejected_logps=ref[order[B // 2 :]],
        )
        loss = DPOTrainer._compute_loss(self, lambda **_: outputs, inputs, False)
        loss.backward()
        metrics = {name.split("/")[1]: values[0] for name, values in self._metrics["eval"].items() if "rewards/" in name}
        case = dict(kind=kind, beta=beta, swapped=swapped, referenceFree=free, supervised=supervised)
        case.update(loss=loss.item(), metrics=metrics)
        cases.append(dict(case, reference=listed(ref), gradient=listed(scores.grad)))
    return cases


def reward_cases(random):
    cases = []
    for centering, with_margin in [(None, False), (0.25, False), (None, True), (0.25, True)]:
        scores = torch.tensor(random.normal(size=(B // 2, 2)) * 2).requires_grad_()  # pairs × (chosen, rejected)
        margin = torch.tensor(random.uniform(size=B // 2))
        self = trainer(args=SimpleNamespace(center_rewards_coefficient=centering))
        rows = torch.cat([scores[:, 0], scores[:, 1]]).unsqueeze(1)
        inputs = dict(margin=margin) if with_margin else {}
        loss = RewardTrainer.compute_loss(self, lambda **_: SimpleNamespace(logits=rows), inputs)
        loss.backward()
        case = dict(centering=centering or 0, loss=loss.item(), scores=listed(scores), gradient=listed(scores.grad))
        cases.append(dict(case, margin=listed(margin)) if with_margin else case)
    return cases


def grpo_cases(random, logits, targets, mask):
    advantages = torch.tensor(random.normal(size=B))
    # Far enough that some ratios are clipped above and some below.
    steps, distances = [torch.tensor(random.normal(size=(B, T)) * size) for size in (0.3, 0.5)]
    cases = []
    for kind in ["dapo", "grpo", "dr_grpo"]:
        for beta, temperature in [(0.0, 1.0), (0.25, 1.0), (0.25, 0.5)]:
            scores = logits.clone().requires_grad_()
            current = log_probs(scores / temperature, targets, mask)
            old, reference = [(current.detach() + away) * mask for away in (steps, distances)]
            self = trainer(
                _get_per_token_logps_and_entropies=lambda *_, **__: (current, torch.zeros(B, T), None),
                top_entropy_quantile=1.0,
                off_policy_mask_threshold=None,
                importance_sampling_level="token",
                beta=beta,
                args=SimpleNamespace(use_bias_correction_kl=False, delta=None, steps_per_generation=1),
                loss_type=kind,
                epsilon_low=0.25,
                epsilon_high=0.25,
                use_vllm=False,
                max_completion_length=8,
                current_gradient_accumulation_steps=1,
                _entropy_bonus_enabled=False,
            )
            inputs = dict(
                prompt_ids=torch.zeros(B, 1, dtype=torch.long),
                prompt_mask=torch.ones(B, 1, dtype=torch.long),
                completion_ids=targets,
                completion_mask=mask,
                advantages=advantages,
                old_per_token_logps=old,
                ref_per_token_logps=reference,
                num_items_in_batch=mask.sum(),
            )
            loss = GRPOTrainer._compute_loss(self, None, inputs)
            loss.backward()
            clipped = self._metrics["eval"]["clip_ratio/region_mean"][0]
            case = dict(kind=kind, beta=beta, temperature=temperature, loss=loss.item(), clipped=clipped)
            given = dict(old=listed(old), reference=listed(reference))
            cases.append(dict(case, **given, gradient=listed(scores.grad)))
    return dict(clip=0.25, maxTokens=8, advantages=listed(advantages), cases=cases)


def advantages(random):
    """As `_generate_and_score_completions` has it; the deviation is trl's own function."""
    rewards = torch.tensor(random.integers(0, 4, size=(4, 3)).astype("float64"))
    rewards[1] = 2.0  # a group that agrees
    centered = rewards - rewards.mean(1, keepdim=True)
    by_group = centered / (nanstd(rewards, dim=1, keepdim=True) + 1e-4)
    by_batch = centered / (nanstd(rewards) + 1e-4)
    results = dict(group=listed(by_group), batch=listed(by_batch), none=listed(centered))
    return dict(groupSize=3, rewards=listed(rewards), **results)


main()
