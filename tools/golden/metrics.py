"""Golden values for metrics, from their reference implementations: scikit-learn, scipy, sacrebleu, rouge_score, seqeval, nltk.

Writes `test/fixtures/metrics/golden.json`. Usage: `python tools/golden/metrics.py` in the root of the repository.

SQuAD's normalisation, exact match and F1 come from the parts of `torchmetrics`' `squad`, which are those of the published script. It adds a case for
questions without answers; v1.1 has none, and the case is left out here.
The calibration error is computed here by its definition (Guo et al. 2017, eq. 3), pass@k by exact binomials.
"""

import importlib
import json
import math
import pathlib

import numpy
import sacrebleu
import scipy.stats
import seqeval.metrics
import sklearn.metrics as skm
import torch
from nltk.stem.porter import PorterStemmer
from rouge_score import rouge_scorer

torch.set_default_dtype(torch.float64)
squad = importlib.import_module("torchmetrics.functional.text.squad")  # the package hides it behind a function
random = numpy.random.default_rng(29)


def classification():
    cases = []
    for name, labels, n, skill in [
        ("two", ["no", "yes"], 60, 0.7),
        ("five", ["a", "b", "c", "Zed", "é"], 200, 0.5),
        ("one predicted only", ["x"], 12, 1.0),
        ("never right", ["p", "q"], 9, 0.0),
    ]:
        expected = [labels[int(i)] for i in random.integers(0, len(labels), n)]
        predicted = [e if random.random() < skill else labels[int(random.integers(0, len(labels)))] for e in expected]
        if name == "never right":
            predicted = ["q" if e == "p" else "r" for e in expected]
        case = dict(name=name, expected=expected, predicted=predicted, accuracy=skm.accuracy_score(expected, predicted),
                    matthews=skm.matthews_corrcoef(expected, predicted))
        for average in ["macro", "micro", "weighted"]:
            case[average] = skm.f1_score(expected, predicted, average=average, zero_division=0)
        names = sorted(set(expected) | set(predicted))
        case["labels"] = names
        case["confusion"] = skm.confusion_matrix(expected, predicted, labels=names).tolist()
        p, r, f, s = skm.precision_recall_fscore_support(expected, predicted, labels=names, zero_division=0)
        case["byLabel"] = [dict(label=l, precision=float(a), recall=float(b), f1=float(c), support=int(d))
                           for l, a, b, c, d in zip(names, p, r, f, s)]
        cases.append(case)
    return cases


def calibration_error(probabilities, expected, bins):
    confidence = probabilities.max(1)
    right = probabilities.argmax(1) == expected
    edges = numpy.linspace(0, 1, bins + 1)
    total = 0.0
    for low, high in zip(edges[:-1], edges[1:]):
        inside = (confidence > low) & (confidence <= high)
        if inside.any():
            total += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    return total


def probabilities():
    cases = []
    for classes, n in [(2, 80), (6, 150)]:
        p = numpy.round(random.dirichlet([0.5] * classes, n), 4)
        p[:, -1] = 1 - p[:, :-1].sum(1)
        p = numpy.clip(p, 0, 1)
        p[0] = [1] + [0] * (classes - 1)
        p[1] = [1] + [0] * (classes - 1)
        expected = numpy.array([int(random.choice(classes, p=row / row.sum())) for row in p])
        expected[1] = 1  # certain and wrong
        labels = list(range(classes))
        brier = (skm.brier_score_loss(expected, p[:, 1]) if classes == 2 else
                 float(((p - numpy.eye(classes)[expected]) ** 2).sum(1).mean()))
        cases.append(dict(probabilities=p.tolist(), expected=expected.tolist(), logLoss=skm.log_loss(expected, p, labels=labels),
                          brier=brier, calibration15=calibration_error(p, expected, 15),
                          calibration10=calibration_error(p, expected, 10)))
    return cases


def regression():
    cases = []
    for name, x, y in [
        ("noisy", random.normal(0, 3, 50), None),
        ("ties", random.integers(0, 5, 40).astype(float), random.integers(0, 4, 40).astype(float)),
        ("two", numpy.array([1.0, 2.0]), numpy.array([5.0, 4.0])),
    ]:
        if y is None:
            y = x * 0.5 + random.normal(0, 1, 50)
        cases.append(dict(name=name, expected=x.tolist(), predicted=y.tolist(), mse=skm.mean_squared_error(x, y),
                          mae=skm.mean_absolute_error(x, y), pearson=float(scipy.stats.pearsonr(x, y).statistic),
                          spearman=float(scipy.stats.spearmanr(x, y).statistic)))
    return cases


TEXTS = [
    ("the cat sat on a mat", ["the cat sat on the mat"]),
    ("The quick brown fox, jumping over 3,000.5 lazy dogs (at 5-10 mph)!", [
        "A quick brown fox jumps over 3,000.5 lazy dogs at 5-10 mph.", "The quick, brown fox jumped over the lazy dogs"]),
    ("", ["something expected"]),
    ("entirely different words here", ["no overlap whatsoever, sorry"]),
    ("short", ["short"]),
    ("He said: &quot;it&apos;s fine&quot; &amp; left. <skipped>", ['He said: "it\'s fine" & left.']),
    ("Ünïcödé wörds — naïve café… 東京 is 大きい", ["Unicode words - naive cafe… 東京は大きい", "Ünïcödé wörds, naïve café… 東京 is big"]),
    ("git commit --message {{message}}", ["git commit -m {{message}}", "git commit --all --message {{message}}"]),
    ("a a a a a a", ["a a b a"]),
    ("emoji 🎉🎉 party 🎉.x", ["emoji 🎉 party 🎉🎉 x"]),
    ("line one of it\nline two follows on\nthe cat sat", ["line two follows\nthe cat sat down\nline one of this"]),
    ("tab\tseparated\u00a0words and\u2003wide\u001cspace\ufeff", ["tab separated words and wide space"]),
    ("Running runners ran easily; flies dying relational conditional happily", [
        "A runner runs with ease: fly dies, relations and conditions, happiness"]),
    ("same again, the very same sentence with a lot of words in it.", [
        "same again, the very same sentence with a lot of words in it."]),
]


def texts():
    cases = []
    scorers = {stem: rouge_scorer.RougeScorer(["rouge1", "rouge2", "rougeL", "rougeLsum"], use_stemmer=stem)
               for stem in [False, True]}
    for text, references in TEXTS:
        case = dict(text=text, references=references,
                    words=sacrebleu.BLEU().tokenizer(text.rstrip()).split(),
                    bleu=sacrebleu.BLEU(effective_order=True).sentence_score(text, references).score,
                    bleuPlain=sacrebleu.BLEU().sentence_score(text, references).score,
                    chrf=sacrebleu.CHRF().sentence_score(text, references).score,
                    chrfWords=sacrebleu.CHRF(word_order=2).sentence_score(text, references).score)
        for stem, scorer in scorers.items():
            scores = scorer.score_multi(references, text)
            case["stemmed" if stem else "plain"] = {
                kind: [float(s.precision), float(s.recall), float(s.fmeasure)] for kind, s in scores.items()}
        cases.append(case)
    # sacrebleu wants as many references everywhere: the first twice where there is one.
    padded = [references if len(references) == 2 else references * 2 for _, references in TEXTS]
    streams = [[r[i] for r in padded] for i in range(2)]
    hypotheses = [text for text, _ in TEXTS]
    corpus = dict(bleu=sacrebleu.corpus_bleu(hypotheses, streams).score, chrf=sacrebleu.corpus_chrf(hypotheses, streams).score,
                  chrfWords=sacrebleu.corpus_chrf(hypotheses, streams, word_order=2).score)
    return dict(cases=cases, corpus=corpus)


ENDINGS = """ational tional enci anci izer bli abli alli entli eli ousli ization ation ator alism iveness fulness ousness aliti iviti
biliti fulli logi icate ative alize iciti ical ful ness al ance ence er ic able ible ant ement ment ent sion tion ion ou ism ate iti ous
ive ize ed ing ied eed ies sses s ss y e ll fully ology ally ily""".split()
STEMS = """rel condit hesit digit conform radic differ vil analog vietnam predic operat feud decis hop call form sensit triplic elect good
reviv allow infer airlin gyroscop adjust defens irrit replac adopt homolog commun activ angular effect bowdler prob ceas contr r h sky
plaster agr bl tr siz fall hiss fizz fail fil hopp yyy syzyg toy enjoy spy theo""".split()
WORDS = """sky skies dying lying tying news innings outings cannings howe proceed exceed succeed be as died ties spied enjoyed flying
falling hopping controlling roll tree agreed feed oats ivy by toys say says i yes 123 x9s a1ing""".split()


def stems():
    stemmer = PorterStemmer()
    words = sorted(set(WORDS + [stem + ending for stem in STEMS for ending in ENDINGS]))
    return " ".join(words), " ".join(stemmer.stem(word) for word in words)


ANSWERS = [
    ("The Denver Broncos!", ["Denver Broncos", "Broncos"]),
    ("a an the", ["the"]),
    ("", ["something"]),
    ("in 1,879 (approximately)", ["1879", "approximately in 1879"]),
    ("théâtre a the-rapist éa a", ["theatre", "théâtre therapist éa"]),
    ("Beyoncé's   mother", ["Beyonce's mother", "Beyoncés mother"]),
    ("northern and southern hemisphere", ["the northern hemisphere", "southern"]),
    ("“quoted” — dash", ["quoted dash", "“quoted” — dash"]),
]


def answers():
    def f1(right, text):
        words = squad._get_tokens(right), squad._get_tokens(text)
        return float(squad._compute_f1_score(text, right)) if all(words) else 0.0
    return [dict(answer=a, right=r, normalized=squad._normalize_text(a),
                 exact=max(int(squad._compute_exact_match_score(a, one)) for one in r), f1=max(f1(one, a) for one in r))
            for a, r in ANSWERS]


def spans():
    tags = ["O", "O", "B-PER", "I-PER", "B-LOC", "I-LOC", "E-LOC", "S-PER", "I-MISC-x", "B"]
    pairs = []
    for _ in range(40):
        length = int(random.integers(1, 14))
        expected = [tags[int(i)] for i in random.integers(0, len(tags), length)]
        predicted = [e if random.random() < 0.8 else tags[int(random.integers(0, len(tags)))] for e in expected]
        pairs.append(dict(expected=expected, predicted=predicted,
                          spans=[[t, s, e + 1] for t, s, e in seqeval.metrics.sequence_labeling.get_entities(expected)]))
    t, p = [x["expected"] for x in pairs], [x["predicted"] for x in pairs]
    return dict(pairs=pairs, precision=float(seqeval.metrics.precision_score(t, p)), recall=float(seqeval.metrics.recall_score(t, p)),
                f1=float(seqeval.metrics.f1_score(t, p)))


def pass_at_k():
    exact = lambda n, c, k: 1 - math.comb(n - c, k) / math.comb(n, k)
    return [dict(n=n, c=c, k=k, value=exact(n, c, k))
            for n, c, k in [(1, 0, 1), (1, 1, 1), (10, 3, 1), (10, 3, 5), (10, 3, 8), (200, 7, 10), (200, 1, 100), (200, 200, 1)]]


def bootstrap():
    values = numpy.round(random.gamma(2, 1, 60), 4)
    low, high = scipy.stats.bootstrap((values,), numpy.mean, n_resamples=200_000, method="percentile", rng=3).confidence_interval
    ordered = numpy.sort(values)
    return dict(values=values.tolist(), low=float(low), high=float(high),
                percentiles=[[q, float(numpy.percentile(ordered, 100 * q))] for q in [0, 0.025, 0.31, 0.5, 0.975, 1]])


words, stemmed = stems()
golden = dict(classification=classification(), probabilities=probabilities(), regression=regression(), texts=texts(),
              words=words, stems=stemmed, answers=answers(), spans=spans(), passAtK=pass_at_k(), bootstrap=bootstrap())
out = pathlib.Path("test/fixtures/metrics/golden.json")
out.parent.mkdir(parents=True, exist_ok=True)
out.write_text(json.dumps(golden, ensure_ascii=False) + "\n")
