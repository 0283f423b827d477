// Numbers and instants as people read them: by their locale, in the site's zone.

const locale = navigator.languages as string[];

export const NOTHING = "–";

const whole = new Intl.NumberFormat(locale, { maximumFractionDigits: 0 });
const one = new Intl.NumberFormat(locale, { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const two = new Intl.NumberFormat(locale, { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const compact = new Intl.NumberFormat(locale, { maximumSignificantDigits: 5 });
const percentage = new Intl.NumberFormat(locale, { style: "percent", maximumFractionDigits: 1 });

export function count(value: number | null | undefined): string {
  return value == null ? NOTHING : whole.format(value);
}

/** A quantity to about three digits: 0.42, 7.31, 45.2, 1,204. */
export function quantity(value: number | null | undefined): string {
  if (value == null) return NOTHING;
  const size = Math.abs(value);
  return (size === 0 ? whole : size < 10 ? two : size < 100 ? one : whole).format(value);
}

export const axisNumber = (value: number): string => compact.format(value);
export const hundredths = (value: number | null | undefined): string => (value == null ? NOTHING : two.format(value));

/** A power that may be large, in the unit that suits it. */
export function power(kw: number | null | undefined): [string, string] {
  return kw != null && Math.abs(kw) >= 10_000 ? [two.format(kw / 1000), "MW"] : [quantity(kw), "kW"];
}

export function kw(value: number | null | undefined): string {
  return value == null ? NOTHING : `${quantity(value)} kW`;
}

export function ratio(part: number, all: number): string {
  return all > 0 ? percentage.format(part / all) : NOTHING;
}

/** Seconds as 45 s, 5 min, 1 h 30 min, 2 d 3 h. */
export function duration(seconds: number): string {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  const minutes = Math.round(s / 60);
  if (minutes < 60) return s < 600 && s % 60 ? `${Math.floor(s / 60)} min ${s % 60} s` : `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  return hours % 24 ? `${Math.floor(hours / 24)} d ${hours % 24} h` : `${Math.floor(hours / 24)} d`;
}

const formats = new Map<string, Intl.DateTimeFormat>();

function formatter(zone: string, style: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const key = zone + JSON.stringify(style);
  let found = formats.get(key);
  if (!found) {
    found = new Intl.DateTimeFormat(locale, { ...style, timeZone: known(zone), hourCycle: "h23" });
    formats.set(key, found);
  }
  return found;
}

/** The zone if this browser knows it, else UTC. */
export function known(zone: string): string {
  try {
    new Intl.DateTimeFormat("en", { timeZone: zone });
    return zone;
  } catch {
    return "UTC";
  }
}

const TIME: Intl.DateTimeFormatOptions = { hour: "2-digit", minute: "2-digit" };
const SECONDS: Intl.DateTimeFormatOptions = { ...TIME, second: "2-digit" };
const DAY: Intl.DateTimeFormatOptions = { day: "numeric", month: "short" };
const FULL_DAY: Intl.DateTimeFormatOptions = { ...DAY, year: "numeric" };

export const time = (ms: number, zone: string): string => formatter(zone, TIME).format(ms);
export const seconds = (ms: number, zone: string): string => formatter(zone, SECONDS).format(ms);
export const day = (ms: number, zone: string): string => formatter(zone, DAY).format(ms);
export const month = (ms: number, zone: string): string =>
  formatter(zone, { month: "short", year: "numeric" }).format(ms);
export const fullDay = (ms: number, zone: string): string => formatter(zone, FULL_DAY).format(ms);

export function zoneName(ms: number, zone: string): string {
  const parts = formatter(zone, { timeZoneName: "short", ...TIME }).formatToParts(ms);
  return parts.find((part) => part.type === "timeZoneName")?.value ?? zone;
}

const FOR_EVER = Date.parse("9999-12-31T00:00:00Z"); // as /v1 writes the end of what does not end

export const isOpenEnded = (endMs: number): boolean => endMs >= FOR_EVER;

/** 14:00 to 14:30, with the day when it is not today's. */
export function span(startMs: number, endMs: number, nowMs: number, zone: string): string {
  const [from, to, today] = [fullDay(startMs, zone), fullDay(endMs, zone), fullDay(nowMs, zone)];
  const first = from === today ? time(startMs, zone) : `${day(startMs, zone)} ${time(startMs, zone)}`;
  if (isOpenEnded(endMs)) return `${first} – no end`;
  return `${first} – ${to === from ? "" : `${day(endMs, zone)} `}${time(endMs, zone)}`;
}

/** RFC 3339 in UTC, without fractions where there are none. */
export const iso = (ms: number): string => new Date(ms).toISOString().replace(".000Z", "Z");

/** An id or a rule as words: opted_out → opted out. */
export const words = (name: string): string => name.replaceAll("_", " ");
