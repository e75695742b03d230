/** Days of the years that can be divided by 4, other than whole centuries that 400 does not divide. */
const LEAP_DAY = "(?:\\d\\d(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)-02-29";
const DATE = `(?:\\d{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\\d|30)|02-(?:0[1-9]|1\\d|2[0-8]))|${LEAP_DAY})`;
/** Without leap seconds, which most readers refuse. */
const TIME = "(?:[01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(?:\\.\\d{1,9})?(?:[Zz]|[+-](?:[01]\\d|2[0-3]):[0-5]\\d)";
const OCTET = "(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)";
const IPV4 = `${OCTET}(?:\\.${OCTET}){3}`;
const HEX = "[0-9A-Fa-f]{1,4}";
const IPV6 = [
  `(?:${HEX}:){7}${HEX}`,
  ...[0, 1, 2, 3, 4, 5, 6].map((before) => {
    const head = before === 0 ? "" : `(?:${HEX}:){0,${before - 1}}${HEX}`;
    const after = 6 - before;
    return `${head}::${after === 0 ? `(?:${HEX})?` : `(?:(?:${HEX}:){0,${after}}${HEX})?`}`;
  }),
  `(?:${HEX}:){6}${IPV4}`,
  `::(?:[Ff]{4}:)?${IPV4}`,
].join("|");
/** Without two hyphens in a row, which would have to be Punycode. */
const LABEL = "[A-Za-z0-9]{1,20}(?:-[A-Za-z0-9]{1,20}){0,2}";
const ATOM = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]{1,20}";
const DOMAIN = `${LABEL}(?:\\.${LABEL}){0,3}`;
const COUNTED = (unit: string) => `\\d{1,9}${unit}`;
const DAYS = `(?:${COUNTED("Y")}(?:${COUNTED("M")}(?:${COUNTED("D")})?)?|${COUNTED("M")}(?:${COUNTED("D")})?|${COUNTED("D")})`;
const HOURS = `T(?:${COUNTED("H")}(?:${COUNTED("M")}(?:${COUNTED("S")})?)?|${COUNTED("M")}(?:${COUNTED("S")})?|${COUNTED("S")})`;
const URI_TAIL = "(?:/(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})*)*";
const URI_REST = "(?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*";
const AUTHORITY = `${DOMAIN}(?::\\d{1,5})?`;
const URI_SUFFIX = `${URI_TAIL}(?:\\?${URI_REST})?(?:#${URI_REST})?`;

/**
 * Regular expressions, for the whole text, of the values of `format`. They are what a program can safely be given: a part of what the
 * standards allow, without their rarities (quoted or very long mailbox names, leap seconds, addresses in URIs).
 */
export const FORMATS: Readonly<Record<string, string>> = {
  date: DATE,
  time: TIME,
  "date-time": `${DATE}[Tt]${TIME}`,
  duration: `P(?:${DAYS}(?:${HOURS})?|${HOURS}|${COUNTED("W")})`,
  email: `${ATOM}(?:\\.${ATOM}){0,2}@${LABEL}(?:\\.${LABEL}){1,3}`,
  hostname: DOMAIN,
  ipv4: IPV4,
  ipv6: IPV6,
  uuid: "[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}",
  uri: `[A-Za-z][A-Za-z0-9+.-]{1,15}://${AUTHORITY}${URI_SUFFIX}`,
  "uri-reference": `(?:[A-Za-z][A-Za-z0-9+.-]{1,15}://${AUTHORITY})?${URI_SUFFIX}`,
  "json-pointer": "(?:/(?:[^/~]|~[01])*)*",
  "relative-json-pointer": "(?:0|[1-9]\\d{0,8})(?:#|(?:/(?:[^/~]|~[01])*)*)",
};
