"""Peer: one GPT-2 training step in PyTorch, CPU, eager, float32. Speaks the protocol of `protocol.mjs`.

Legend: B batch, T tokens, C width, H heads, D head width, V vocabulary, L layers.

The settings are the fastest eager ones we measured (README.md): fused AdamW, the flash CPU kernel behind
`scaled_dot_product_attention`, one product for query, key and value, gradients set to none.
"""

import argparse
import json
import math
import resource
import sys
import time

try:
    import torch
    import torch.nn.functional as F
    from torch import nn
except ImportError:
    print(json.dumps({"missing": "torch"}), flush=True)
    sys.exit(0)

WARM_UP_STEPS = 3
FLOP_CONVENTION = "6*N*tokens + 12*L*T*C*tokens; N without positions, tied head once"
OPTIONS = ("layers", "width", "heads", "context", "batch", "vocab", "threads")


def main():
    options = parse_options()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    step, flops_per_step = build_step(options)
    first_loss = step().item()
    for _ in range(WARM_UP_STEPS - 1):
        step()
    say(ready=True, peer=f"pytorch {torch.__version__.partition('+')[0]}", firstLoss=first_loss,
        threads=torch.get_num_threads(), flopsPerStep=flops_per_step, flopConvention=FLOP_CONVENTION)
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
            sys.exit(f"torch_step.py: expected step N, peak or quit, got {line.strip()!r}")


def parse_options():
    parser = argparse.ArgumentParser(description="PyTorch training-step peer")
    for name in OPTIONS:
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--batches", type=int, default=8, help="distinct random batches to cycle through")
    return parser.parse_args()


def build_step(options):
    model = GPT(options.layers, options.width, options.heads, options.context, options.vocab)
    parameters = list(model.parameters())
    optimizer = torch.optim.AdamW(
        [dict(params=[p for p in parameters if p.ndim >= 2], weight_decay=0.1),
         dict(params=[p for p in parameters if p.ndim < 2], weight_decay=0.0)],
        lr=1e-3, betas=(0.9, 0.95), eps=1e-8, fused=True)
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

    num_counted = sum(p.numel() for p in parameters) - model.positions.weight.numel()
    tokens_per_step = options.batch * options.context
    attention = 12 * options.layers * options.context * options.width
    return step, (6 * num_counted + attention) * tokens_per_step


class Block(nn.Module):
    def __init__(self, width, num_heads, num_layers):
        super().__init__()
        self.num_heads = num_heads
        self.norm_1 = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.attention_out = nn.Linear(width, width)
        self.norm_2 = nn.LayerNorm(width)
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)
        for linear in (self.qkv, self.attention_out, self.up, self.down):
            nn.init.normal_(linear.weight, std=0.02)
            nn.init.zeros_(linear.bias)
        for linear in (self.attention_out, self.down):
            nn.init.normal_(linear.weight, std=0.02 / math.sqrt(2 * num_layers))

    def forward(self, x):  # (B, T, C)
        B, T, C = x.shape
        heads = self.qkv(self.norm_1(x)).view(B, T, 3, self.num_heads, C // self.num_heads)
        query, key, value = heads.permute(2, 0, 3, 1, 4).unbind(0)  # 3 × (B, H, T, D)
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True)  # (B, H, T, D)
        x = x + self.attention_out(mixed.transpose(1, 2).reshape(B, T, C))
        return x + self.down(F.gelu(self.up(self.norm_2(x)), approximate="tanh"))


class GPT(nn.Module):
    def __init__(self, num_layers, width, num_heads, context, vocab):
        super().__init__()
        self.tokens = nn.Embedding(vocab, width)
        self.positions = nn.Embedding(context, width)
        self.blocks = nn.ModuleList(Block(width, num_heads, num_layers) for _ in range(num_layers))
        self.norm = nn.LayerNorm(width)
        nn.init.normal_(self.tokens.weight, std=0.02)
        nn.init.normal_(self.positions.weight, std=0.02)

    def forward(self, tokens):  # (B, T)
        x = self.tokens(tokens) + self.positions.weight[: tokens.shape[1]]  # (B, T, C)
        for block in self.blocks:
            x = block(x)
        return F.linear(self.norm(x), self.tokens.weight)  # (B, T, V)


def say(**message):
    print(json.dumps(message), flush=True)


if __name__ == "__main__":
    main()
