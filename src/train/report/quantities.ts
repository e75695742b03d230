const PREFIXES = ["", "k", "M", "G", "T", "P", "E", "Z", "Y"];

/**
 * A whole number with thousands separators.
 *
 * @example
 * formatCount(12345); // => "12,345"
 */
export function formatCount(value: number): string {
  return Math.round(value).toLocaleString("en-US");
}

/**
 * Three significant digits and an SI prefix.
 *
 * @example
 * formatSi(10_788_929, "parameters"); // => "10.8 M parameters"
 * formatSi(1.5e15, "FLOP");           // => "1.50 PFLOP"
 */
export function formatSi(value: number, unit: string): string {
  const space = /^[A-Z]/.test(unit) ? "" : " "; // "PFLOP" is one word, "M parameters" are two
  if (!Number.isFinite(value)) return `${value} ${unit}`;
  let scaled = Math.abs(value);
  let prefix = 0;
  // 999.5 would round up to "1000".
  while (scaled >= 999.5 && prefix < PREFIXES.length - 1) {
    scaled /= 1000;
    prefix += 1;
  }
  const digits = prefix === 0 && Number.isInteger(scaled) ? `${scaled}` : threeDigits(scaled);
  const suffix = prefix === 0 ? unit : `${PREFIXES[prefix]}${space}${unit}`;
  return `${value < 0 ? "−" : ""}${digits} ${suffix}`.trimEnd();
}

/**
 * Seconds as `m:ss` or `h:mm:ss`.
 *
 * @example
 * formatDuration(754);  // => "12:34"
 * formatDuration(3661); // => "1:01:01"
 */
export function formatDuration(seconds: number): string {
  const total = Math.max(0, Math.round(seconds));
  const hours = Math.floor(total / 3600);
  const minutes = Math.floor(total / 60) % 60;
  const rest = String(total % 60).padStart(2, "0");
  return hours > 0 ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}

/**
 * A learning rate, norm or similar: three significant digits, scientific when small or large.
 *
 * @example
 * formatSmall(0.0003); // => "3.00e-4"
 * formatSmall(0.4217); // => "0.422"
 */
export function formatSmall(value: number): string {
  if (value === 0 || !Number.isFinite(value)) return String(value);
  const size = Math.abs(value);
  if (size < 0.01 || size >= 10_000) return value.toExponential(2);
  return value.toPrecision(3).replace(/\.$/, "");
}

function threeDigits(value: number): string {
  return value.toFixed(value < 9.995 ? 2 : value < 99.95 ? 1 : 0);
}
