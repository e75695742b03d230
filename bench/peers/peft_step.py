"""Peer: the step of `torch_step.py` with Python `peft`: a LoRA of rank 8 on all linear layers, everything else frozen.

Same network, options, protocol and optimizer settings; only the adapter's parameters are the optimizer's.
"""

import json
import resource
import sys
import time

try:
    import peft
    import torch
    import torch.nn.functional as F
    from torch_step import GPT, WARM_UP_STEPS, parse_options, say
except ImportError as error:
    print(json.dumps({"missing": error.name or "peft"}), flush=True)
    sys.exit(0)

RANK = 8


def main():
    options = parse_options()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    step = build_step(options)
    for _ in range(WARM_UP_STEPS):
        step()
    say(ready=True, peer=f"peft {peft.__version__}", threads=torch.get_num_threads())
    for line in sys.stdin:
        command, _, argument = line.strip().partition(" ")
        if command == "step":
            count = int(argument)
            start = time.perf_counter()
            for _ in range(count):
                loss = step()
            say(ms=(time.perf_counter() - start) * 1000 / count, loss=loss.item())
        elif command == "peak":
            say(peakRssBytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
        elif command == "quit":
            return
        else:
            sys.exit(f"peft_step.py: expected step N, peak or quit, got {line.strip()!r}")


def build_step(options):
    base = GPT(options.layers, options.width, options.heads, options.context, options.vocab)
    config = peft.LoraConfig(r=RANK, lora_alpha=2 * RANK, target_modules=["qkv", "attention_out", "up", "down"])
    model = peft.get_peft_model(base, config)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-3, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1, fused=True)
    shape = (options.batches, options.batch, options.context)
    batches = list(zip(torch.randint(options.vocab, shape), torch.randint(options.vocab, shape)))
    cursor = 0

    def step():
        nonlocal cursor
        tokens, targets = batches[cursor % len(batches)]
        cursor += 1
        loss = F.cross_entropy(model(tokens).flatten(0, 1), targets.flatten())
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.detach()

    return step


if __name__ == "__main__":
    main()
