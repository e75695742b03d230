"""Holds Plinth's tokenizers against `tokenizers`, `sentencepiece` and `tiktoken` on random Unicode text.

Run by hand from the repository root, after `npm run build`; prints how many of the texts differ:

    python tools/golden/compare_tokenizers.py [NUMBER OF TEXTS]
    python tools/golden/compare_tokenizers.py fixture    # test/fixtures/tokenizer/stages.json

Reads ../shared/data/tok-*. Made with tokenizers 0.23.3, sentencepiece 0.2.3, tiktoken 0.14.0.
"""

import base64
import gzip
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import sentencepiece
import tiktoken
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, Regex

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data"
ASSIGNED = [(0x20, 0x250), (0x300, 0x370), (0x370, 0x600), (0x900, 0xA00), (0xE00, 0xE80), (0x1E00, 0x2000)]
ASSIGNED += [(0x2000, 0x2070), (0x2100, 0x2200), (0x3040, 0x3100), (0x4E00, 0x4F00), (0xAC00, 0xAD00)]
ASSIGNED += [(0xF900, 0xFB00), (0xFF00, 0xFFF0), (0x1F300, 0x1F700), (0x1D400, 0x1D500)]
WORDS = "the of and to in is that hello world's don't I'LL 1234567 3.14 foo_bar http://x.y/z?q=1 ÉCOLE naïve İstanbul".split()
SPACES = [" ", "  ", "\n", "\t", "\r\n", "\u00a0", "\u3000", " \n "]


def random_text(rng):
    parts = []
    for _ in range(rng.randrange(1, 12)):
        kind = rng.randrange(6)
        if kind < 2:
            parts.append(rng.choice(WORDS))
        elif kind == 2:
            parts.append(rng.choice(SPACES))
        elif kind == 3:
            start, end = rng.choice(ASSIGNED)
            parts.append("".join(chr(rng.randrange(start, end)) for _ in range(rng.randrange(1, 6))))
        elif kind == 4:
            point = rng.randrange(0x110000)
            parts.append(chr(point) if not 0xD800 <= point < 0xE000 else "?")
        else:
            parts.append(rng.choice("!?.,;:()[]{}<>@#$%^&*-_=+|\\/'\"`~") * rng.randrange(1, 4))
    return "".join(parts)


def small_variants():
    """tokenizer.json files with features that the published ones lack, on one small vocabulary."""
    vocab = {}
    for text in ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)] + list("▁abcdefghijklmnopqrstuvwxyz") + ["##" + c for c in "abcdefghijklmnopqrstuvwxyz"] + ["th", "the", "in", "▁th", "##in", "he", "on"]:
        vocab.setdefault(text, len(vocab))
    merges = [("t", "h"), ("th", "e"), ("i", "n"), ("h", "e"), ("o", "n"), ("▁", "th")]
    bpe = lambda **options: models.BPE(vocab=vocab, merges=merges, unk_token="<unk>", **options)
    result = {}

    def add(name, model, normalizer=None, splitter=None, decoder=None, processor=None):
        tokenizer = Tokenizer(model)
        if normalizer: tokenizer.normalizer = normalizer
        if splitter: tokenizer.pre_tokenizer = splitter
        if decoder: tokenizer.decoder = decoder
        if processor: tokenizer.post_processor = processor
        result[name] = tokenizer

    llama = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    chain = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    add("llama", bpe(byte_fallback=True, fuse_unk=True), llama, None, chain)
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        add(form, bpe(fuse_unk=False), getattr(normalizers, form)(), pre_tokenizers.Whitespace())
    add("accents", bpe(fuse_unk=True), normalizers.Sequence([normalizers.NFD(), normalizers.StripAccents(), normalizers.Lowercase()]), pre_tokenizers.WhitespaceSplit())
    add("bert cased", models.WordPiece(vocab, unk_token="<unk>"), normalizers.BertNormalizer(lowercase=False, strip_accents=True), pre_tokenizers.BertPreTokenizer(), decoders.WordPiece())
    for scheme in ("always", "first", "never"):
        add("metaspace " + scheme, bpe(fuse_unk=True), normalizers.Strip(), pre_tokenizers.Metaspace("▁", scheme), decoders.Metaspace("▁", scheme))
    for behavior in ("removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous"):
        add("split " + behavior, bpe(), None, pre_tokenizers.Split(Regex(r"\p{P}|\s"), behavior))
        add("punctuation " + behavior, bpe(), None, pre_tokenizers.Punctuation(behavior))
    add("digits", bpe(), None, pre_tokenizers.Sequence([pre_tokenizers.Digits(True), pre_tokenizers.Whitespace()]))
    add("replace", bpe(), normalizers.Replace(Regex(r"\s+"), " "), pre_tokenizers.Whitespace())
    add("words", models.WordLevel(vocab, unk_token="<unk>"), None, pre_tokenizers.Whitespace())
    add("ignore merges", bpe(ignore_merges=True), None, pre_tokenizers.Whitespace())
    add("prefix", models.BPE(vocab=vocab, merges=[("t", "##in")] if "tin" in vocab else [], unk_token="<unk>", continuing_subword_prefix="##"), None, pre_tokenizers.Whitespace())
    return result


def tiktoken_encoding(name, spec):
    lines = gzip.decompress((DATA / "tok-tiktoken" / f"{name}.tiktoken.gz").read_bytes()).splitlines()
    ranks = {base64.b64decode(token): int(rank) for token, rank in (line.split() for line in lines if line)}
    return tiktoken.Encoding(name, pat_str=spec["pat_str"], mergeable_ranks=ranks, special_tokens=spec["special_tokens"])


def references():
    """name → (file for Plinth, kind, text → (ids, offsets or None, decoded or None))."""
    scratch = Path(tempfile.mkdtemp())
    found = {}

    def library(tokenizer):
        def run(text):
            encoding = tokenizer.encode(text)
            return encoding.ids, encoding.offsets, tokenizer.decode(encoding.ids, skip_special_tokens=True)
        return run

    tokenizers = {name: Tokenizer.from_file(str(DATA / name / "tokenizer.json")) for name in ("tok-gpt2",)}
    tokenizers["tok-t5"] = Tokenizer.from_str(gzip.decompress((DATA / "tok-t5" / "tokenizer.json.gz").read_bytes()).decode())
    tokenizers.update(small_variants())
    for name, tokenizer in tokenizers.items():
        path = scratch / f"{name.replace(' ', '-')}.json"
        tokenizer.save(str(path))
        found[name] = (str(path), "json", library(tokenizer))
    for name in ("tok-mistral/tokenizer.model.v1", "tok-mistral/mistral_instruct_tokenizer_240323.model.v3", "tok-t5/spiece.model", "tok-sentencepiece/unigram_en.model", "tok-sentencepiece/bpe_en.model"):
        processor = sentencepiece.SentencePieceProcessor(model_file=str(DATA / name))
        found[name] = (str(DATA / name), "sentencepiece", lambda text, p=processor: (p.encode(text), None, None))
    specs = json.loads((DATA / "tok-tiktoken" / "encodings.json").read_text())
    for name, spec in specs.items():
        path = scratch / f"{name}.tiktoken"
        path.write_bytes(gzip.decompress((DATA / "tok-tiktoken" / f"{name}.tiktoken.gz").read_bytes()))
        encoding = tiktoken_encoding(name, spec)
        found[name] = (str(path), "tiktoken", lambda text, e=encoding: (e.encode(text, disallowed_special=()), None, e.decode(e.encode(text, disallowed_special=()))))
    return found


def write_fixture():
    """Small tokenizers with each kind of stage, and what the library makes of some texts."""
    rng = random.Random(3)
    texts = ["", " ", "the thin tin  on", "\u00c9cole na\u00efve \u0130stanbul \ufb01n\u00b2 \u1e9b\u0323", "don't, 12 (3.4)!"]
    texts += [random_text(rng) for _ in range(8)]
    rows, shared = {}, None
    for name, tokenizer in small_variants().items():
        file = json.loads(tokenizer.to_str())
        vocab = file["model"].pop("vocab")
        shared = shared or vocab
        assert vocab == shared, name
        encodings = [tokenizer.encode(text) for text in texts]
        rows[name] = {
            "file": {key: value for key, value in file.items() if value is not None},
            "ids": [encoding.ids for encoding in encodings],
            "offsets": [[at for pair in encoding.offsets for at in pair] for encoding in encodings],
            "decoded": [tokenizer.decode(encoding.ids) for encoding in encodings],
        }
    rows_text = ",\n".join(json.dumps(name) + ":" + json.dumps(row, separators=(",", ":")) for name, row in rows.items())
    head = json.dumps({"texts": texts, "vocab": shared, "pair": pair_golden()}, separators=(",", ":"))
    path = ROOT / "test" / "fixtures" / "tokenizer" / "stages.json"
    path.write_text(head[:-1] + ',"tokenizers":{\n' + rows_text + "\n}}\n")


def pair_golden():
    """How the library cuts pairs: ids of `a b c` and `d e f …` by the options of truncation."""
    tokenizer = small_variants()["words"]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> $B:1 </s>:1", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    rows = []
    for first, second in ((9, 3), (3, 9), (9, 9), (5, 6), (12, 1)):
        texts = [" ".join("abcdefghijkl"[:first]), " ".join("nopqrstuvwxyz"[:second])]
        for strategy in ("longest_first", "only_first", "only_second"):
            for length, stride in ((10, 0), (9, 2), (15, 3), (30, 1)):
                tokenizer.enable_truncation(length, stride=stride, strategy=strategy)
                try:
                    encoding = tokenizer.encode(*texts)
                except BaseException as error:  # a panic of the library is not an Exception
                    if isinstance(error, (KeyboardInterrupt, SystemExit)):
                        raise
                    continue
                windows = [encoding] + encoding.overflowing
                rows.append([texts, strategy, length, stride, [window.ids for window in windows], encoding.type_ids, encoding.special_tokens_mask])
    return {"file": json.loads(tokenizer.to_str())["post_processor"], "rows": rows}


def main():
    if sys.argv[1:] == ["fixture"]:
        return write_fixture()
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    rng = random.Random(7)
    texts = [random_text(rng) for _ in range(count)]
    found = references()
    request = {"texts": texts, "files": {name: [path, kind] for name, (path, kind, _) in found.items()}}
    answer = subprocess.run(["node", str(ROOT / "tools/golden/encode_texts.mjs")], input=json.dumps(request), capture_output=True, text=True, check=True)
    ours = json.loads(answer.stdout)
    for name, (_, _, run) in found.items():
        wrong = {"ids": 0, "offsets": 0, "decoded": 0}
        example = None
        for text, (ids, offsets, decoded) in zip(texts, ours[name]):
            expected = run(text)
            if ids != expected[0]:
                wrong["ids"] += 1
                example = example or (text, ids, expected[0])
            elif expected[1] is not None and offsets != [list(pair) for pair in expected[1]]:
                wrong["offsets"] += 1
                example = example or (text, offsets, expected[1])
            elif expected[2] is not None and decoded != expected[2]:
                wrong["decoded"] += 1
                example = example or (text, decoded, expected[2])
        print(f"{name}: {count} texts, wrong {wrong}", repr(example)[:600] if example else "")


main()
