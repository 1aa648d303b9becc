/** Types and the ways in which values of them are written, in plain words. */

export const TYPES = [
  ["string", "Text"], ["int64", "Whole number"], ["float64", "Number"], ["decimal(18,2)", "Amount, exact"], ["boolean", "Yes or no"],
  ["date", "Date"], ["datetime", "Date and time"], ["time", "Time of day"], ["categorical", "Category"],
];
const WORDS = Object.fromEntries(TYPES);

/** A type as people say it; `type` is a configuration's, such as `datetime[Europe/Berlin]`, or DuckDB's. */
export function typeWord(type) {
  const plain = type.toLowerCase();
  if (WORDS[plain]) return WORDS[plain];
  if (plain.startsWith("datetime") || plain.startsWith("timestamp")) return "Date and time";
  if (plain.endsWith("[]") || plain.startsWith("list")) return "List";
  if (plain.startsWith("struct")) return "Object";
  if (/^u?(tiny|small|big|huge)?int(eger)?\d*$/.test(plain)) return "Whole number";
  if (/^(float|double)/.test(plain)) return "Number";
  if (plain.startsWith("decimal")) return "Amount, exact";
  if (plain.startsWith("enum")) return "Category";
  return { varchar: "Text", "unknown": "Text" }[plain] ?? type;
}

export const isNumber = (type) => ["Whole number", "Number", "Amount, exact"].includes(typeWord(type));

/** Formats of dates with an example of each. */
export const FORMATS = {
  date: [["", "2026-12-31"], ["%d.%m.%Y", "31.12.2026"], ["%d/%m/%Y", "31/12/2026"], ["%m/%d/%Y", "12/31/2026"], ["%Y/%m/%d", "2026/12/31"], ["%d-%m-%Y", "31-12-2026"], ["%d.%m.%y", "31.12.26"], ["%b %d, %Y", "Dec 31, 2026"], ["%d %b %Y", "31 Dec 2026"], ["%Y%m%d", "20261231"]],
  datetime: [["", "2026-12-31T18:05:00"], ["%d.%m.%Y %H:%M", "31.12.2026 18:05"], ["%d.%m.%Y %H:%M:%S", "31.12.2026 18:05:09"], ["%d/%m/%Y %H:%M", "31/12/2026 18:05"], ["%m/%d/%Y %H:%M", "12/31/2026 18:05"], ["%m/%d/%Y %I:%M %p", "12/31/2026 06:05 PM"], ["epoch", "seconds since 1970"], ["epoch_ms", "milliseconds since 1970"]],
  time: [["", "18:05:09"], ["%H%M", "1805"], ["%I:%M %p", "06:05 PM"]],
};

/** Ways to write numbers, each by the settings of a cast. */
export const NUMBERS = [
  ["1234.5", {}], ["1,234.5", { thousands: "," }], ["1234,5", { decimal_comma: true }], ["1.234,5", { thousands: ".", decimal_comma: true }],
  ["1 234,5", { thousands: " ", decimal_comma: true }], ["1'234.5", { thousands: "'" }],
];

/** How numbers are written that a cast reads, as an example. */
export function numberExample(cast) {
  return (NUMBERS.find(([, how]) => (how.thousands ?? "") === (cast?.thousands || "") && Boolean(how.decimal_comma) === Boolean(cast?.decimal_comma)) ?? NUMBERS[0])[0];
}

/** One format or several of dates as examples. */
export const formatWords = (kind, formats) => [formats].flat().map((format) => (EXAMPLES[format] ?? FORMATS[kind].find(([one]) => one === format)?.[1] ?? format)).join(" or ");
const EXAMPLES = { "%Y-%m-%d": "2026-12-31", "%Y-%m-%d %H:%M": "2026-12-31 18:05", "%Y-%m-%d %H:%M:%S": "2026-12-31 18:05:09", "%Y-%m-%dT%H:%M:%S": "2026-12-31T18:05:09" };

/** A cast in words: "a date such as 31.12.2026". */
export function castWords(cast) {
  const word = typeWord(cast.type).toLowerCase();
  const kind = cast.type.replace(/\[.*/, "");
  if (FORMATS[kind] && cast.format) return `${word} such as ${formatWords(kind, cast.format)}`;
  if (isNumber(cast.type)) {
    const how = [cast.thousands || cast.decimal_comma ? `such as ${numberExample(cast)}` : "", cast.percent ? "with percent signs" : "", cast.currency ? "with a currency" : ""].filter(Boolean);
    return [word, ...how].join(" ");
  }
  return cast.true_values ? `${word} (${cast.true_values[0]}, ${cast.false_values[0]})` : word;
}
