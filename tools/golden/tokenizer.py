"""Golden ids for src/codecs, from the Hugging Face libraries.

Made with Python 3, tokenizers 0.23.3, transformers 5.23.0. Run from the repository root:

    python tools/golden/tokenizer.py            # test/fixtures/tokenizer/golden.json
    python tools/golden/tokenizer.py classes    # run lengths for src/codecs/unicode-classes.ts

The tokenizers under test/fixtures/tokenizer are ours, trained on corpus.json there; after a change
(`npx vitest run -u src/codecs/train-byte-bpe.test.ts`) run this again.
"""

import json
import random
import sys
from pathlib import Path

import tokenizers
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

FIXTURES = Path(__file__).resolve().parents[2] / "test" / "fixtures" / "tokenizer"

TEXTS = {
    "empty": "",
    "space": " ",
    "letter": "a",
    "english": "The quick brown fox jumps over the lazy dog.",
    "leading space": " leading",
    "two leading spaces": "  leading",
    "trailing spaces": "trailing   ",
    "inner spaces": "a  b   c    d",
    "only spaces": " " * 40,
    "spaces before punctuation": "a   . b  , c    !",
    "newlines": "\n\n\na\n\nb\n",
    "indented code": "    if x:\n        return y\n\n\n    else:\n\t\tpass\n",
    "spaces then newline": "a   \n   b \n c",
    "crlf": "one\r\ntwo\r\n\r\nthree\r",
    "tabs": "\ta\t\tb\t \tc",
    "contractions": "I'm you're he's she'd we'll they've can't",
    "upper contractions": "I'M YOU'RE HE'S SHE'D WE'LL THEY'VE CAN'T",
    "curly apostrophes": "I’m you’re it’s",
    "apostrophes": "' 's 't 'S ''s '''' 'llama 'really 'v 'r 'l d'd're'",
    "apostrophe at the end": "the readers'",
    "apostrophe after space": "it 's it 'll it ' s",
    "digits": "1234567890 12 345 6789 0",
    "letters and digits": "a1b2c3 v1.2.3 x86_64 utf8",
    "other digits": "٣٤٥ ४५ ５６ ① Ⅷ ½ ² ৴ 𝟘𝟙",
    "punctuation": "!?.,;:-–—…()[]{}<>@#$%^&*_+=|\\/~`\"",
    "punctuation runs": "Wait... what?!?! ((no)) -- --- ---- ====",
    "url": "https://example.com/a/b?c=1&d=%20#e",
    "json": '{"key": [1, 2.5, null, true], "__proto__": {}}',
    "separator as text": "a<|endoftext|b> <|endoftext",
    "french": "L'été dernier, aujourd'hui déjà; cœur, garçon.",
    "german": "Größere Straßen, ÄÖÜ äöü, ẞ.",
    "vietnamese": "Tiếng Việt có nhiều dấu thanh.",
    "turkish": "İstanbul'da ılık bir gün, IĞDIR.",
    "russian": "Съешь ещё этих мягких французских булок.",
    "greek": "Ξεσκεπάζω την ψυχοφθόρα βδελυγμία.",
    "arabic": "نص حكيم له سر قاطع وذو شأن عظيم",
    "hebrew": "דג סקרן שט בים מאוכזב",
    "hindi": "ऋषियों को सताने वाले दुष्ट राक्षसों",
    "thai": "เป็นมนุษย์สุดประเสริฐเลิศคุณค่า",
    "japanese": "いろはにほへと ちりぬるを。カタカナ、漢字。",
    "chinese": "天地玄黃，宇宙洪荒。日月盈昃，辰宿列張。",
    "korean": "키스의 고유조건은 입술끼리",
    "hangul jamo": "\u1112\u1161\u11ab\u1100\u1173\u11af",
    "georgian and amharic": "ვეპხის ტყაოსანი ሰላም ለዓለም",
    "mixed scripts": "abcабвαβγ漢字かなأبج",
    "emoji": "🙂🙃🚀 👍🏽 ❤️ ☀️",
    "emoji zwj": "👩‍💻 👨‍👩‍👧‍👦 🏳️‍🌈 🧑🏿‍🚀",
    "flags": "🇫🇷🇯🇵🇺🇳",
    "mathematical letters": "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𝒙 𝕏",
    "combining marks": "e\u0301 a\u0308\u0323 \u0301 \u0308\u0308 o\u0302\u0301",
    "lone combining mark": "\u0301",
    "zalgo": "Z\u0351\u036b\u0343a\u0321\u034al\u0348\u033bg\u0322o\u035f",
    "unicode spaces": "a\u00a0b\u1680c\u2003d\u2009\u2009e\u202ff\u205fg\u3000h\u3000 i",
    "line separators": "a\u2028b\u2029c\u0085d\u000be\u000cf \u2028 g",
    "zero width": "a\u200bb\u200cc\u200dd\u2060e\u00adf",
    "byte order mark": "\ufeffa \ufeff b\ufeff",
    "control characters": "".join(map(chr, range(0x20))) + "\x7f",
    "latin-1": "".join(map(chr, range(0x80, 0x100))),
    "noncharacters": "\ufffd \ufffe\uffff \U0001fffe \U0010ffff",
    "private use": "\ue000 \U000f0000 \U0010fffd",
    "byte alphabet": "Ġthe Ċ Ã© ĠĠ ĀĂ ł",
    "rare han": "𠀀𠀁 𪜀 㐀",
    "long word": "supercalifragilistic" * 12,
    "long run": "a" * 300 + "=" * 300 + "7" * 100,
    "unassigned": "a\u0378b \U0001fffd1\u0378",
    "new in unicode 16": "\ua7cb \U00010d50 \U0001ccf0 \u1c89",
    "spaced letters": "t h e  t h e",
}


def byte_bpe_golden(tokenizer):
    """Ids of the texts, and texts of arbitrary ids: mostly invalid UTF-8."""
    rng = random.Random(1)
    size = tokenizer.get_vocab_size()
    sequences = [[i for i in range(256)], list(range(size))]
    sequences += [[rng.randrange(256) for _ in range(12)] for _ in range(40)]
    sequences += [[rng.randrange(size) for _ in range(12)] for _ in range(20)]
    return {
        "texts": [
            {"name": name, "text": text, "ids": tokenizer.encode(text).ids} for name, text in TEXTS.items()
        ],
        "decoded": [{"ids": ids, "text": tokenizer.decode(ids)} for ids in sequences],
    }


def char_golden(tokenizer, corpus):
    texts = corpus + [doc[::-1] for doc in corpus] + ["", " ", "\n", "a b\n\nc", "".join(corpus)[::7]]
    rows = [{"text": text, "ids": tokenizer.encode(text).ids} for text in texts]
    for row in rows:
        assert tokenizer.decode(row["ids"]) == row["text"], row["text"]
    return rows


def check_auto_tokenizer(directory, tokenizer, texts, context_length):
    """transformers must read the directory as we wrote it, and agree with its tokenizer.json."""
    auto = transformers.AutoTokenizer.from_pretrained(directory)
    for text in texts:
        assert auto(text)["input_ids"] == tokenizer.encode(text).ids, (directory, text)
        assert auto.decode(auto(text)["input_ids"]) == tokenizer.decode(tokenizer.encode(text).ids)
    assert auto.eos_token_id == tokenizer.token_to_id("<|endoftext|>") == len(auto) - 1
    assert auto.bos_token_id == auto.eos_token_id
    assert auto("<|endoftext|>")["input_ids"] == [auto.eos_token_id]
    assert auto.decode([auto.eos_token_id], skip_special_tokens=True) == ""
    assert auto.model_max_length == context_length
    return type(auto).__name__


def trained_merges(corpus, num_merges):
    """The same training by the reference trainer; ours must find the same merges in the same order."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=256 + num_merges,
        min_frequency=2,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus, trainer)
    return [list(pair) for pair in json.loads(tokenizer.to_str())["model"]["merges"]]


def write_golden():
    corpus = json.loads((FIXTURES / "corpus.json").read_text())
    byte_bpe = Tokenizer.from_file(str(FIXTURES / "byte-bpe" / "tokenizer.json"))
    chars = Tokenizer.from_file(str(FIXTURES / "char" / "tokenizer.json"))
    num_merges = len(json.loads(byte_bpe.to_str())["model"]["merges"])
    golden = {
        "madeWith": {"tokenizers": tokenizers.__version__, "transformers": transformers.__version__},
        "autoTokenizer": {
            "byteBpe": check_auto_tokenizer(FIXTURES / "byte-bpe", byte_bpe, list(TEXTS.values()), 256),
            "char": check_auto_tokenizer(FIXTURES / "char", chars, corpus, 128),
        },
        "merges": trained_merges(corpus, num_merges),
        "byteBpe": byte_bpe_golden(byte_bpe),
        "char": char_golden(chars, corpus),
    }
    text = json.dumps(golden, separators=(",", ":"), ensure_ascii=True)
    (FIXTURES / "golden.json").write_text(text.replace('},{', '},\n{') + "\n")


def class_of(split, character):
    """0 other, 1 letter, 2 number, 3 white space: what the library's split pattern joins it with."""
    for kind, neighbour in ((1, "a"), (2, "1"), (0, "!")):
        if len(split(neighbour + character)) == 1:
            return kind
    return 3


def print_classes():
    split = pre_tokenizers.ByteLevel(add_prefix_space=False).pre_tokenize_str
    classes = bytes(
        0 if 0xD800 <= point < 0xE000 else class_of(split, chr(point)) for point in range(0x110000)
    )
    for kind, name in ((1, "LETTER_RUNS"), (2, "NUMBER_RUNS"), (3, "WHITESPACE_RUNS")):
        runs, last, at = [], 0, classes.find(kind)
        while at >= 0:
            end = at
            while end < len(classes) and classes[end] == kind:
                end += 1
            runs += [base36(at - last), base36(end - at)]
            last, at = end, classes.find(kind, end)
        print(name, " ".join(runs))


def base36(number):
    digits = "0123456789abcdefghijklmnopqrstuvwxyz"
    return digits[number] if number < 36 else base36(number // 36) + digits[number % 36]


if __name__ == "__main__":
    print_classes() if sys.argv[1:] == ["classes"] else write_golden()
