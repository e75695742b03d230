const DAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS = [
  "January",
  "February",
  "March",
  "April",
  "May",
  "June",
  "July",
  "August",
  "September",
  "October",
  "November",
  "December",
];

/**
 * Python's `strftime` in the C locale, in local time. Directives it does not know stay as they are.
 *
 * @example
 * formatTime(new Date(2024, 6, 26), "%d %b %Y"); // => "26 Jul 2024"
 */
export function formatTime(date: Date, format: string): string {
  return format.replace(/%(-?)([A-Za-z%])/g, (directive, bare: string, letter: string) => {
    const text = expand(date, letter);
    if (text === undefined) return directive;
    return bare ? text.replace(/^[0 ]+(?=.)/, "") : text;
  });
}

function expand(date: Date, letter: string): string | undefined {
  const day = DAYS[date.getDay()]!;
  const month = MONTHS[date.getMonth()]!;
  const hour12 = date.getHours() % 12 || 12;
  switch (letter) {
    case "Y":
      return String(date.getFullYear());
    case "y":
      return pad(date.getFullYear() % 100);
    case "m":
      return pad(date.getMonth() + 1);
    case "d":
      return pad(date.getDate());
    case "e":
      return String(date.getDate()).padStart(2);
    case "H":
      return pad(date.getHours());
    case "I":
      return pad(hour12);
    case "M":
      return pad(date.getMinutes());
    case "S":
      return pad(date.getSeconds());
    case "f":
      return pad(date.getMilliseconds() * 1000, 6);
    case "p":
      return date.getHours() < 12 ? "AM" : "PM";
    case "A":
      return day;
    case "a":
      return day.slice(0, 3);
    case "w":
      return String(date.getDay());
    case "u":
      return String(date.getDay() || 7);
    case "B":
      return month;
    case "b":
    case "h":
      return month.slice(0, 3);
    case "j":
      return pad(dayOfYear(date), 3);
    case "%":
      return "%";
    default:
      return expandCompound(date, letter);
  }
}

function expandCompound(date: Date, letter: string): string | undefined {
  const compounds: Readonly<Record<string, string>> = {
    F: "%Y-%m-%d",
    T: "%H:%M:%S",
    R: "%H:%M",
    D: "%m/%d/%y",
    x: "%m/%d/%y",
    X: "%H:%M:%S",
    c: "%a %b %e %H:%M:%S %Y",
  };
  const format = Object.hasOwn(compounds, letter) ? compounds[letter] : undefined;
  if (format !== undefined) return formatTime(date, format);
  // datetime.now() has no time zone, so both are empty.
  return letter === "z" || letter === "Z" ? "" : undefined;
}

function dayOfYear(date: Date): number {
  const midnight = Date.UTC(date.getFullYear(), date.getMonth(), date.getDate());
  return (midnight - Date.UTC(date.getFullYear(), 0, 0)) / 86_400_000;
}

function pad(value: number, width = 2): string {
  return String(value).padStart(width, "0");
}
