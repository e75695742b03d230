"""Golden token rows and loss masks of supervised fine-tuning, by trl's own trainer and collator.

Made with Python 3, transformers 5.23.0 and trl 1.16.0. Run from the repository root, with the shared data beside it:

    python tools/golden/sft.py       # test/fixtures/sft/golden.json

The trainer prepares the examples and its collator makes the batch; no model of any use is involved. The tokenizer is
../shared/data/tok-gpt2 with three special tokens behind its own.
"""

import json
import tempfile
from pathlib import Path

import transformers
import trl
from datasets import Dataset
from tokenizers import AddedToken, Tokenizer
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast
from trl import SFTConfig, SFTTrainer

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data"
TARGET = ROOT / "test" / "fixtures" / "sft" / "golden.json"
SPECIAL = ["<|end|>", "<|start|>", "<|pad|>"]

# Written for this file: roles in angle brackets, tools in front, calls as JSON, results under a role of their own.
BEGIN = """{%- if tools %}
    {{- '<|start|>tools\\n' }}
    {%- for tool in tools %}
        {{- tool | tojson + '\\n' }}
    {%- endfor %}
    {{- '<|end|>\\n' }}
{%- endif %}
{%- for message in messages %}
    {{- '<|start|>' + message.role + '\\n' }}
"""
END = """    {{- '\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start|>assistant\\n' }}
{%- endif %}
"""
SAID = """{%- if message.content %}
        {{- message.content }}
    {%- endif %}
    {%- for call in message.tool_calls or [] %}
        {{- 'call ' + call.function.name + ' ' + call.function.arguments | tojson }}
    {%- endfor %}
    {{- '<|end|>' }}
"""
TEMPLATES = {
    # The block around what is said, and the end of the turn.
    "marked": BEGIN
    + "    {%- if message.role == 'assistant' %}\n    {%- generation %}\n    " + SAID
    + "    {%- endgeneration %}\n    {%- else %}\n    " + SAID + "    {%- endif %}\n" + END,
    # Without the end, and with the white space that other tags leave.
    "content only": "{% for message in messages %}\n[{{ message.role }}]\n"
    "  {% if message.role == 'assistant' %}\n  {% generation %}\n{{ message.content }}{% endgeneration %}\n\n"
    "  {% else %}\n{{ message.content }}\n{% endif %}\n{% endfor %}",
    "unmarked": BEGIN + SAID + END,
}
TOOLS = [{"type": "function", "function": {"name": "area", "description": "Area of a circle", "parameters": {
    "type": "object", "properties": {"radius": {"type": "number"}}, "required": ["radius"]}}}]
CHATS = {
    "two turns": {"messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "What is the capital of France?"},
        {"role": "assistant", "content": "Paris."},
        {"role": "user", "content": "And of Japan? 日本 🗾"},
        {"role": "assistant", "content": "Tokyo (東京), naïvely 🗼."},
    ]},
    "tools": {"tools": TOOLS, "messages": [
        {"role": "user", "content": "How large is a circle of radius 2?"},
        {"role": "assistant", "tool_calls": [{"type": "function", "function": {"name": "area", "arguments": {"radius": 2}}}]},
        {"role": "tool", "content": "12.566"},
        {"role": "assistant", "content": "About 12.6."},
        {"role": "user", "content": "Thanks"},
    ]},
    "one turn": {"messages": [
        {"role": "user", "content": "Say  nothing"},
        {"role": "assistant", "content": " ... "},
    ]},
}
INSTRUCTIONS = [
    {"prompt": "Translate to French: cheese\n", "completion": "fromage"},
    {"prompt": "def add(a, b):", "completion": "\n    return a + b\n"},
    # The border of prompt and completion lies inside a token of the joined text.
    {"prompt": "The answer is ye", "completion": "s, it is"},
    {"prompt": "Numbers: 12", "completion": "34"},
    {"prompt": "naïve 日", "completion": "本 🗾"},
    {"prompt": "Write <|end|> as text:", "completion": " <|start|>"} | {"plain": True},
]


def tokenizer():
    inner = Tokenizer.from_file(str(DATA / "tok-gpt2" / "tokenizer.json"))
    inner.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in SPECIAL])
    return PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="<|end|>", pad_token="<|pad|>")


def collate(rows, template=None, **options):
    tok = tokenizer()
    if template is not None:
        tok.chat_template = template
    model = GPT2LMHeadModel(GPT2Config(vocab_size=len(tok), n_positions=512, n_embd=8, n_layer=1, n_head=1))
    with tempfile.TemporaryDirectory() as out:
        config = SFTConfig(output_dir=out, report_to=[], use_cpu=True, bf16=False, max_length=None, **options)
        trainer = SFTTrainer(model=model, args=config, train_dataset=Dataset.from_list(rows), processing_class=tok)
        batch = trainer.data_collator([trainer.train_dataset[i] for i in range(len(rows))])
    return {"tokens": batch["input_ids"].tolist(), "labels": batch["labels"].tolist()}


def main():
    plain = [{k: v for k, v in row.items() if k != "plain"} for row in INSTRUCTIONS if not row.get("plain")]
    chats = {}
    for name in ("marked", "content only"):
        chats[name] = {}
        for chat, row in CHATS.items():
            # Where such a block begins or ends with white space that belongs to a token with more in it, transformers finds no
            # token there, and learns nothing from there on, or everything.
            if name == "content only" and chat != "two turns":
                continue
            chats[name][chat] = collate([row], TEMPLATES[name], assistant_only_loss=True)
    golden = {
        "versions": {"transformers": transformers.__version__, "trl": trl.__version__},
        "special": SPECIAL,
        "templates": TEMPLATES,
        "chats": CHATS,
        "instructions": {"examples": plain, **collate(plain, completion_only_loss=True)},
        "masks": chats,
    }
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_text(json.dumps(golden, ensure_ascii=False, separators=(",", ":")) + "\n")


main()
