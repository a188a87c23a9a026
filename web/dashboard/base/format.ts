const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const tenths = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });

/** 1234567 → "1,234,567". */
export function count(n: number): string {
  return whole.format(n);
}

/** 1 → "1 stream", 2 → "2 streams". */
export function some(n: number, noun: string): string {
  return `${count(n)} ${noun}${n === 1 ? "" : "s"}`;
}

/** A number per second: small ones with a decimal, large ones short. */
export function rate(n: number): string {
  if (n >= 1e6) return `${tenths.format(n / 1e6)} M`;
  if (n >= 1e5) return `${whole.format(n / 1e3)} k`;
  return n >= 10 || n === 0 ? whole.format(n) : tenths.format(n);
}

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

/** 1536 → "1.5 KiB". */
export function bytes(n: number): string {
  let unit = 0;
  while (n >= 1024 && unit < UNITS.length - 1) {
    n /= 1024;
    unit++;
  }
  return `${n >= 100 || unit === 0 ? whole.format(n) : tenths.format(n)} ${UNITS[unit] ?? ""}`;
}

/** Milliseconds: "0.4 ms", "12 ms", "1.2 s". */
export function millis(ms: number): string {
  if (ms >= 1000) return `${tenths.format(ms / 1000)} s`;
  return `${ms >= 10 ? whole.format(ms) : tenths.format(ms)} ms`;
}

const STEPS: readonly (readonly [number, string])[] = [
  [86_400, "d"],
  [3600, "h"],
  [60, "min"],
  [1, "s"],
];

/** Seconds in its two largest units: "3 d 4 h", "5 min 2 s". */
export function duration(seconds: number): string {
  let rest = Math.max(0, Math.floor(seconds));
  const parts: string[] = [];
  for (const [length, unit] of STEPS) {
    const n = Math.floor(rest / length);
    rest -= n * length;
    if (n > 0) parts.push(`${n} ${unit}`);
    else if (parts.length > 0) break;
    if (parts.length === 2) break;
  }
  return parts.join(" ") || "0 s";
}

/** How long ago a time is: "now", "12 s ago". */
export function ago(time: string, now: number): string {
  const seconds = (now - Date.parse(time)) / 1000;
  if (Number.isNaN(seconds)) return "";
  return seconds < 1 ? "now" : `${duration(seconds)} ago`;
}

/** The local time of day, and the date if it is another day. */
export function clock(time: string | number, now = Date.now()): string {
  const date = new Date(time);
  if (Number.isNaN(date.getTime())) return "";
  const two = (n: number): string => String(n).padStart(2, "0");
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  const text = [date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(":");
  return new Date(now).toDateString() === date.toDateString() ? text : `${day} ${text}`;
}
