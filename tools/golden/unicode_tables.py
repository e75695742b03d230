"""Unicode classes for src/codecs/unicode-data.ts, extracted from the behaviour of the `tokenizers` library.

Made with tokenizers 0.23.3. Run from the repository root (two minutes), then format:

    python tools/golden/unicode_tables.py > src/codecs/unicode-data.ts && npx biome format --write src/codecs

The library mixes Unicode versions: its regular expressions know 16.0, BERT's punctuation and accents 8.0 or so, its
normal forms 12.0. Sets of the older parts are stored as differences from the general categories of 16.0.
"""

import sys
import unicodedata

from tokenizers import Regex, normalizers, pre_tokenizers

POINTS = [point for point in range(0x110000) if not 0xD800 <= point < 0xE000]
CATEGORIES = "Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp Cc Cf Co".split()
SCRIPTS = "Han Hiragana Katakana Hangul Latin Cyrillic Greek Arabic Hebrew Thai Devanagari".split()
ASCII_PUNCTUATION = {ord(c) for c in "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"}
DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def base36(number):
    return DIGITS[number] if number < 36 else base36(number // 36) + DIGITS[number % 36]


def matched(pattern):
    """Code points that a regular expression of the library matches."""
    text = "".join(map(chr, POINTS))
    left = set(normalizers.Replace(Regex(pattern), "").normalize_str(text))
    return {point for point in POINTS if chr(point) not in left}


def emptied(normalizer):
    """Code points that a normalizer deletes."""
    return {point for point in POINTS if normalizer.normalize_str(chr(point)) == ""}


def split_off(pre_tokenizer):
    """Code points that do not stay with a letter before them."""
    return {point for point in POINTS if len(pre_tokenizer.pre_tokenize_str("a" + chr(point))) > 1}


def bert(**options):
    off = dict(clean_text=False, handle_chinese_chars=False, strip_accents=False, lowercase=False)
    return normalizers.BertNormalizer(**{**off, **options})


def runs(points):
    result, last = [], 0
    for point in sorted(points):
        if result and result[-1][1] == point:
            result[-1][1] = point + 1
        else:
            result.append([point, point + 1])
    words = []
    for start, end in result:
        words += [base36(start - last), base36(end - start)]
        last = end
    return " ".join(words)


def category_runs(categories):
    """`gap length category` for each run, the category as its index in CATEGORIES, base 36."""
    words, last, at = [], 0, 0
    while at < 0x110000:
        end = at
        while end < 0x110000 and categories.get(end) == categories.get(at):
            end += 1
        if at in categories:
            words.append(base36(at - last) + " " + base36(end - at) + DIGITS[categories[at]])
            last = end
        at = end
    return " ".join(words)


def new_to_normal_forms():
    """Code points whose normal forms today's Unicode changes, and the library leaves alone."""
    library = {form: getattr(normalizers, form)() for form in ("NFC", "NFD", "NFKC", "NFKD")}
    found = set()
    for point in POINTS:
        char = chr(point)
        for form, text in (("NFD", char), ("NFKD", char), ("NFD", "\u0315" + char), ("NFD", char + "\u0334")):
            ours = library[form].normalize_str(text)
            if ours != TODAY.normalize(form, text):
                found.add(point)
                if len(text) == 1 and form == "NFD":  # what would compose to it is new, too
                    found.add(ord(TODAY.normalize(form, text)[0]))
    return found


def emit(name, doc, text):
    lines, line = [], ""
    for word in text.split(" "):
        if len(line) + len(word) > 100:
            lines.append(line)
            line = ""
        line += word + " "
    lines.append(line)
    print(f"/** {doc} */\nexport const {name} =\n  " + " +\n  ".join(f'"{line}"' for line in lines) + ";\n")


try:
    import unicodedata2 as TODAY  # Unicode 17; pip install unicodedata2
except ImportError:
    sys.exit("needs unicodedata2, the newest Unicode tables as a package")


def main():
    members = {name: matched(r"\p{%s}" % name) for name in CATEGORIES}
    categories = {point: i for i, name in enumerate(CATEGORIES) for point in members[name]}
    union = lambda *names: set().union(*(members[name] for name in names))
    letters = union("Lu", "Ll", "Lt", "Lm", "Lo")
    marks = union("Mn", "Mc", "Me")
    punctuation = union("Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po") | ASCII_PUNCTUATION
    print("// Made by tools/golden/unicode_tables.py; not edited by hand.")
    print("// Runs are `gap length` in base 36, the gap counted from the end of the run before.\n")
    emit("CATEGORY_RUNS", "General categories of Unicode 16.0: `gap lengthC`, C the index of the category.", category_runs(categories))
    emit("OTHER_ALPHABETIC_RUNS", "Alphabetic code points that are not letters.", runs(matched(r"[[:alpha:]]") - letters))
    emit("NOT_BERT_PUNCTUATION_RUNS", "Punctuation that BERT's splitting differs about from general category P or ASCII punctuation.", runs(split_off(pre_tokenizers.Punctuation("isolated")) ^ punctuation))
    emit("NOT_BERT_ACCENT_RUNS", "What BERT's stripping of accents differs about from category Mn.", runs(emptied(bert(strip_accents=True)) ^ members["Mn"]))
    emit("NOT_ACCENT_RUNS", "What StripAccents differs about from category M.", runs(emptied(normalizers.StripAccents()) ^ marks))
    emit("NOT_BERT_CONTROL_RUNS", "What BERT's cleaning differs about from categories Cc, Cf, Co.", runs(emptied(bert(clean_text=True)) ^ union("Cc", "Cf", "Co")))
    emit("NOT_DIGIT_RUNS", "What Digits differs about from category N.", runs(split_off(pre_tokenizers.Digits(True)) ^ union("Nd", "Nl", "No")))
    emit("NEW_TO_NORMAL_FORMS_RUNS", "Code points that the library's normal forms (Unicode 12) leave alone, newer ones change.", runs(new_to_normal_forms()))
    print("/** Code points of the scripts that patterns name. */\nexport const SCRIPT_RUNS: Readonly<Record<string, string>> = {")
    for name in SCRIPTS:
        script = runs(matched(r"\p{%s}" % name))
        print(f'  {name}: "{script}",')
    print("};")


main()
