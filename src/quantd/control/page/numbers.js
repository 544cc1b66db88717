// Amounts and times as people read them. Decimal text is never made into a number where every digit counts.

const THIN = "\u202f"; // between thousands
const MINUS = "\u2212";
export const NONE = "–";

/** The digits of decimal text, without an exponent: the daemon may send 0E-8. */
function digitsOf(text) {
  const found = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(text);
  if (!found) return null;
  const [, sign, whole, part = "", power = "0"] = found;
  const point = whole.length + Number(power);
  const all = whole + part;
  const padded = point <= 0 ? "0".repeat(1 - point) + all : all.padEnd(point, "0");
  const cut = Math.max(point, 1);
  return { sign, whole: padded.slice(0, cut).replace(/^0+(?=\d)/, ""), part: padded.slice(cut).replace(/0+$/, "") };
}

/** Decimal text with its thousands apart; every digit that counts is kept, and at least so many after the point. */
export function exact(text, least = 0) {
  if (text === null || text === undefined || text === "") return NONE;
  const found = digitsOf(text);
  if (!found) return text;
  const part = found.part.padEnd(least, "0");
  const isZero = !/[1-9]/.test(found.whole + part);
  const whole = found.whole.replace(/\B(?=(\d{3})+$)/g, THIN);
  return `${found.sign && !isZero ? MINUS : ""}${whole}${part ? `.${part}` : ""}`;
}

/** An amount to so many digits, for the eye; show its exact text beside it. */
export const rounded = (text, digits = 2) =>
  text === null || text === undefined ? NONE : exact(Number(text).toFixed(digits), digits);

/** A gain or loss: rounded, with its sign. */
export function signed(text) {
  const told = rounded(text);
  return Number(text) > 0 && /[1-9]/.test(told) ? `+${told}` : told;
}

const seen = new Map();

/** A price with as many digits after the point as any price of its instrument had, so that columns stand in line. */
export function price(instrument, text) {
  const least = seen.get(instrument) ?? 0;
  const found = text === null || text === undefined ? null : digitsOf(text);
  if (found && found.part.length > least) seen.set(instrument, found.part.length);
  return exact(text, priceDigits(instrument));
}

export const priceDigits = (instrument) => seen.get(instrument) ?? 0;

/** Time of day in UTC; with the day where it is another one than that of `nowNs`. */
export function clock(ns, nowNs = ns) {
  if (!ns) return NONE;
  const [told, now] = [ns, nowNs].map((one) => new Date(one / 1e6).toISOString());
  return told.slice(0, 10) === now.slice(0, 10) ? told.slice(11, 19) : told.slice(5, 19).replace("T", " ");
}

/** Time of day in UTC to the millisecond. */
export const exactClock = (ns) => new Date(ns / 1e6).toISOString().slice(11, 23);

/** How long ago, in a word. */
export function lasting(s) {
  if (s < 60) return `${Math.max(0, Math.floor(s))} s`;
  if (s < 5400) return `${Math.floor(s / 60)} min`;
  return s < 129600 ? `${Math.floor(s / 3600)} h` : `${Math.floor(s / 86400)} days`;
}
