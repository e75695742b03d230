/** What a special token is for. */
export type SpecialRole = "bos" | "eos" | "pad" | "unk" | "cls" | "sep" | "mask";

/** Ids of the tokens with a role; absent where the tokenizer has none. */
export type SpecialIds = Readonly<Partial<Record<SpecialRole, number>>>;

/** How a tokenizer's files spell the tokens with a role. */
export type RoleNames = Readonly<Partial<Record<SpecialRole, string>>>;

/** Usual spellings, for files that do not say which token has which role. */
const USUAL: Readonly<Record<SpecialRole, readonly string[]>> = {
  bos: ["<s>", "<|begin_of_text|>", "<|endoftext|>", "<bos>"],
  eos: ["</s>", "<|end_of_text|>", "<|endoftext|>", "<eos>"],
  pad: ["<pad>", "[PAD]"],
  unk: ["<unk>", "[UNK]"],
  cls: ["[CLS]"],
  sep: ["[SEP]"],
  mask: ["[MASK]", "<mask>"],
};

/**
 * Ids of the special tokens.
 *
 * @param idOf id of a token's text, if it has one
 * @param named spelling of each role, from `tokenizer_config.json`; goes before the usual spellings
 */
export function findSpecialIds(
  idOf: (text: string) => number | undefined,
  named: RoleNames = {},
): SpecialIds {
  const found: Partial<Record<SpecialRole, number>> = {};
  for (const role of Object.keys(USUAL) as SpecialRole[]) {
    const spellings = named[role] === undefined ? USUAL[role] : [named[role]];
    const id = spellings.map(idOf).find((known) => known !== undefined);
    if (id !== undefined) found[role] = id;
  }
  return found;
}
