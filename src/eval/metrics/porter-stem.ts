type Rule = readonly [suffix: string, replacement: string];

/** Words that the rules get wrong. */
const IRREGULAR: ReadonlyMap<string, string> = new Map([
  ["skies", "sky"],
  ["sky", "sky"],
  ["dying", "die"],
  ["lying", "lie"],
  ["tying", "tie"],
  ["news", "news"],
  ["innings", "inning"],
  ["inning", "inning"],
  ["outings", "outing"],
  ["outing", "outing"],
  ["cannings", "canning"],
  ["canning", "canning"],
  ["howe", "howe"],
  ["proceed", "proceed"],
  ["exceed", "exceed"],
  ["succeed", "succeed"],
]);

/** Step 2, in the order in which they are tried; each needs a stem of measure > 0. */
const DOUBLE_SUFFIXES: readonly Rule[] = [
  ["ational", "ate"],
  ["tional", "tion"],
  ["enci", "ence"],
  ["anci", "ance"],
  ["izer", "ize"],
  ["bli", "ble"],
  ["alli", "al"],
  ["entli", "ent"],
  ["eli", "e"],
  ["ousli", "ous"],
  ["ization", "ize"],
  ["ation", "ate"],
  ["ator", "ate"],
  ["alism", "al"],
  ["iveness", "ive"],
  ["fulness", "ful"],
  ["ousness", "ous"],
  ["aliti", "al"],
  ["iviti", "ive"],
  ["biliti", "ble"],
  ["fulli", "ful"],
  ["logi", "log"],
];

/** Step 3; measure > 0. */
const ADJECTIVE_SUFFIXES: readonly Rule[] = [
  ["icate", "ic"],
  ["ative", ""],
  ["alize", "al"],
  ["iciti", "ic"],
  ["ical", "ic"],
  ["ful", ""],
  ["ness", ""],
];

/** Step 4; measure > 1. */
const LAST_SUFFIXES = "al ance ence er ic able ible ant ement ment ent ion ou ism ate iti ous ive ize".split(
  " ",
);

/**
 * The stem of an English word in lower case, by Porter's algorithm with the amendments of NLTK's `PorterStemmer`, which ROUGE's reference uses.
 *
 * @see Porter 1980, "An algorithm for suffix stripping".
 * @example
 * porterStem("relational"); // => "relat"
 */
export function porterStem(word: string): string {
  const irregular = IRREGULAR.get(word);
  if (irregular !== undefined) return irregular;
  if (word.length <= 2) return word;
  const simple = finishY(stripPast(stripPlural(word)));
  return stripEnd(stripLast(stripAdjective(stripDouble(simple))));
}

/** Step 1a. */
function stripPlural(word: string): string {
  if (word.endsWith("sses")) return word.slice(0, -2);
  if (word.endsWith("ies")) return word.slice(0, word.length === 4 ? -1 : -2);
  return word.endsWith("s") && !word.endsWith("ss") ? word.slice(0, -1) : word;
}

/** Step 1b. */
function stripPast(word: string): string {
  if (word.endsWith("ied")) return word.slice(0, word.length === 4 ? -1 : -2);
  if (word.endsWith("eed")) return measure(word.slice(0, -3)) > 0 ? word.slice(0, -1) : word;
  const suffix = ["ed", "ing"].find(
    (one) => word.endsWith(one) && /v/.test(lettersOf(word.slice(0, -one.length))),
  );
  if (!suffix) return word;
  const stem = word.slice(0, -suffix.length);
  if (/(?:at|bl|iz)$/.test(stem)) return `${stem}e`;
  if (endsDouble(stem)) return /[lsz]$/.test(stem) ? stem : stem.slice(0, -1);
  return measure(stem) === 1 && endsShort(stem) ? `${stem}e` : stem;
}

/** Step 1c. */
function finishY(word: string): string {
  const stem = word.slice(0, -1);
  return word.endsWith("y") && stem.length > 1 && lettersOf(stem).endsWith("c") ? `${stem}i` : word;
}

/** Step 2. */
function stripDouble(word: string): string {
  if (word.endsWith("alli") && measure(word.slice(0, -4)) > 0) return stripDouble(word.slice(0, -2));
  const rule = DOUBLE_SUFFIXES.find(([suffix]) => word.endsWith(suffix));
  if (!rule) return word;
  const stem = word.slice(0, -rule[0].length);
  // "logi" looks at the stem with its l.
  const looked = rule[0] === "logi" ? `${stem}l` : stem;
  return measure(looked) > 0 ? stem + rule[1] : word;
}

/** Step 3. */
function stripAdjective(word: string): string {
  const rule = ADJECTIVE_SUFFIXES.find(([suffix]) => word.endsWith(suffix));
  if (!rule) return word;
  const stem = word.slice(0, -rule[0].length);
  return measure(stem) > 0 ? stem + rule[1] : word;
}

/** Step 4. */
function stripLast(word: string): string {
  const suffix = LAST_SUFFIXES.find((one) => word.endsWith(one));
  if (!suffix) return word;
  const stem = word.slice(0, -suffix.length);
  return measure(stem) > 1 && (suffix !== "ion" || /[st]$/.test(stem)) ? stem : word;
}

/** Step 5. */
function stripEnd(word: string): string {
  const stem = word.slice(0, -1);
  const size = measure(stem);
  if (word.endsWith("e")) return stripDoubleL(size > 1 || (size === 1 && !endsShort(stem)) ? stem : word);
  return stripDoubleL(word);
}

function stripDoubleL(word: string): string {
  return word.endsWith("ll") && measure(word.slice(0, -1)) > 1 ? word.slice(0, -1) : word;
}

/** Each letter as `c` or `v`; y is a vowel after a consonant. */
function lettersOf(word: string): string {
  let letters = "";
  for (const letter of word) {
    const isVowel = letter === "y" ? letters.endsWith("c") : "aeiou".includes(letter);
    letters += isVowel ? "v" : "c";
  }
  return letters;
}

/** How often vowels are followed by consonants. */
function measure(stem: string): number {
  return lettersOf(stem).split("vc").length - 1;
}

function endsDouble(word: string): boolean {
  return word.length >= 2 && word.at(-1) === word.at(-2) && lettersOf(word).endsWith("c");
}

/** Consonant, vowel, consonant other than w, x, y; or just a vowel and a consonant. */
function endsShort(word: string): boolean {
  const letters = lettersOf(word);
  return letters === "vc" || (letters.endsWith("cvc") && !/[wxy]$/.test(word));
}
