/**
 * One line of the result.
 *
 * @typedef {object} Row
 * @property {string} name
 * @property {number | null} value
 * @property {string} unit of value and peerValue
 * @property {string | null} peer what it is compared with
 * @property {number | null} peerValue
 * @property {number | null} ratio above 1 where we do better; median over rounds where they were measured in turn
 * @property {number | null} target
 * @property {boolean | null} pass null where nothing is judged
 * @property {string} [rule] what the target is held against, as text
 * @property {number} [spread] interquartile range of what is judged, as a share of its median
 * @property {number} [noise] how far the machine's own speed moved meanwhile, as a share
 * @property {string} [skipped] why there is no measurement
 * @property {string} [note]
 */

const RULES = {
  "≥": (x, target) => x >= target,
  "≤": (x, target) => x <= target,
  "<": (x, target) => x < target,
};

/**
 * Completes a row and judges it. Where the ratio of the medians falls on the other side of the target than the ratio, the
 * machine was too unsteady for a verdict, and there is none.
 *
 * @param {Partial<Row> & {
 *   rule: [of: "ratio" | "value", sign: keyof typeof RULES, target: number],
 *   ratioOfMedians?: number,
 * }} row
 * @returns {Row}
 */
export function judge({ name, value, unit, peer = null, peerValue = null, ratio = null, rule, ...more }) {
  const [of, sign, target] = rule;
  const { ratioOfMedians = ratio, ...rest } = more;
  const meets = (x) => RULES[sign](x, target);
  const row = { name, value, unit, peer, peerValue, ratio, target, rule: `${of} ${sign} ${target}`, ...rest };
  if (of === "value") return { ...row, pass: meets(value) };
  if (meets(ratio) === meets(ratioOfMedians)) return { ...row, pass: meets(ratio) };
  const note = `no verdict: the machine was unsteady, and the medians say ${ratioOfMedians.toPrecision(3)}×`;
  return { ...row, pass: null, note };
}

/** A row that is only told, with nothing to hold it against. */
export function inform({ name, value, unit, peer = null, peerValue = null, ratio = null, spread, note }) {
  const told = {
    name,
    value,
    unit,
    peer,
    peerValue,
    ratio,
    target: null,
    pass: null,
    rule: "for information",
  };
  return { ...told, ...(spread !== undefined && { spread }), ...(note && { note }) };
}

/** A row that could not be measured, and why. */
export function skip({ name, unit, peer = null, rule, skipped }) {
  const told = inform({ name, value: null, unit, peer });
  if (!rule) return { ...told, skipped };
  const [of, sign, target] = rule;
  return { ...told, target, rule: `${of} ${sign} ${target}`, skipped };
}
