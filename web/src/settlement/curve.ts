// One event of one participant as columns for a chart: load, baseline and its interval.
import { useEffect, useState } from "react";
import type { Declaration, EventExplained, PaidInterval, Reading } from "../api";
import { get, withQuery } from "../client";
import { iso } from "../format";

type Column = (number | null)[];

/** On one grid of steps, in seconds since 1970; null is a gap. */
export interface Curve {
  at: number[];
  load: Column; // mean power of each step, kW
  baseline: Column; // within the event
  low: Column; // of the baseline; null where no interval can be told
  high: Column;
  window: [number, number];
}

/** What a day behind a baseline drew in the intervals of an event: mean kW of each, in order. */
export interface Day {
  day: string;
  kw: Column;
}

interface Span {
  from: number;
  to: number;
}

const BEFORE_MS = 3_600_000;
const AFTER_MS = 900_000;
const HOLDS_MS = 3_600_000; // a reading that stands longer than that is not looked for

export interface Drawn {
  curve: Curve;
  days: Day[];
  zone: string; // the meter's, in which its days are counted
}

/** The readings around an event, as they were known when it was settled, and those of its baseline's days. */
export function useDrawn(venId: string, told: EventExplained | undefined): Drawn | null {
  const [found, setFound] = useState<{ of: EventExplained; drawn: Drawn } | null>(null);
  useEffect(() => {
    if (!told?.intervals.length) return;
    const stop = new AbortController();
    drawnOf(venId, told, stop.signal).then(
      (drawn) => setFound({ of: told, drawn }),
      () => undefined, // its figures stand without a chart
    );
    return () => stop.abort();
  }, [venId, told]);
  return found && found.of === told ? found.drawn : null;
}

async function drawnOf(venId: string, told: EventExplained, signal: AbortSignal): Promise<Drawn> {
  const spans = spansOf(told);
  const [from, to] = ends(spans);
  const around = await readings(venId, from - BEFORE_MS - HOLDS_MS, to + AFTER_MS + HOLDS_MS, told.known_at, signal);
  const zone = around.series.zone;
  const days = await Promise.all(told.days.map((day) => dayOf(venId, told, day, zone, signal)));
  return { curve: curveOf(told, around), days, zone };
}

async function dayOf(venId: string, told: EventExplained, day: string, zone: string, signal: AbortSignal): Promise<Day> {
  const spans = spansOf(told).map(({ from, to }) => ({ from: sameClock(from, day, zone), to: sameClock(to, day, zone) }));
  const [from, to] = ends(spans);
  const found = await readings(venId, from - HOLDS_MS, to + HOLDS_MS, told.baseline_known_at, signal);
  return { day, kw: spans.map((span) => mean(found, span)) };
}

const ends = (spans: Span[]): [number, number] => [(spans[0] as Span).from, (spans.at(-1) as Span).to];

interface Values {
  series: Declaration;
  items: Reading[];
}

async function readings(venId: string, from: number, to: number, asOf: string, signal: AbortSignal): Promise<Values> {
  const path = `/v1/series/${encodeURIComponent(`${venId}.power_kw`)}/values`;
  const query = { start: iso(from), end: iso(to), as_of: asOf, limit: 50_000 };
  return get<Values>(withQuery(path, query), signal);
}

const spansOf = (told: EventExplained): Span[] =>
  told.intervals.map((one) => ({ from: Date.parse(one.from_at), to: Date.parse(one.until_at) }));

/** The mean of what the readings say of a span: each stands back to the one before it, or on to the next, as its meter
 * stamps, and no longer than the meter holds. To be looked at: what is paid by is reckoned by the platform. */
function mean({ series, items }: Values, { from, to }: Span): number | null {
  const hold = series.hold_s * 1000;
  let [sum, covered] = [0, 0];
  items.forEach((one, i) => {
    const at = Date.parse(one.at);
    const before = Date.parse(items[i - 1]?.at ?? "") || -Infinity;
    const after = Date.parse(items[i + 1]?.at ?? "") || Infinity;
    const [begin, end] =
      series.stamp === "end" ? [Math.max(before, at - hold), at] : [at, Math.min(after, at + hold)];
    const within = Math.min(end, to) - Math.max(begin, from);
    if (within <= 0) return;
    sum += one.value * within;
    covered += within;
  });
  return covered > 0 ? sum / covered : null;
}

const kw = (kwh: string | null, seconds: number): number | null =>
  kwh !== null && seconds > 0 ? (Number(kwh) * 3_600) / seconds : null;

function curveOf(told: EventExplained, found: Values): Curve {
  const within = spansOf(told);
  const [first, last] = [within[0] as Span, within.at(-1) as Span];
  const step = first.to - first.from;
  const before = grid(first.from - BEFORE_MS, first.from, step);
  const after = grid(last.to, last.to + AFTER_MS, step);
  const meanKw = (of: (one: PaidInterval) => string | null): Column =>
    told.intervals.map((one, i) => kw(of(one), covered(within[i] as Span, one.gap_s)));
  const none = (of: Span[]): Column => of.map(() => null);
  // the last step is drawn up to the event's end by its value standing there
  const inside = (values: Column): Column => [...none(before), ...values, values.at(-1) ?? null, ...none(after.slice(1))];
  return {
    at: [...before, ...within, ...after].map(({ from }) => from / 1000),
    load: [...before.map((s) => mean(found, s)), ...meanKw((one) => one.used_kwh), ...after.map((s) => mean(found, s))],
    baseline: inside(meanKw((one) => one.baseline_kwh)),
    low: inside(meanKw((one) => one.low_kwh)),
    high: inside(meanKw((one) => one.high_kwh)),
    window: [first.from / 1000, last.to / 1000],
  };
}

const covered = ({ from, to }: Span, gapS: number): number => (to - from) / 1000 - gapS;

function grid(from: number, to: number, step: number): Span[] {
  const count = Math.max(0, Math.round((to - from) / step));
  return Array.from({ length: count }, (_, i) => ({ from: from + i * step, to: from + (i + 1) * step }));
}

/** The instant on another day at which clocks of the zone show the same. */
function sameClock(ms: number, day: string, zone: string): number {
  const local = ms + offset(ms, zone);
  const moved = ms + Date.parse(day) - Math.floor(local / 86_400_000) * 86_400_000;
  return moved + offset(ms, zone) - offset(moved, zone);
}

/** How far clocks of the zone are ahead of UTC, in milliseconds. */
function offset(ms: number, zone: string): number {
  const shown = new Intl.DateTimeFormat("sv-SE", { timeZone: zone, dateStyle: "short", timeStyle: "medium" }).format(ms);
  return Date.parse(`${shown.replace(" ", "T")}Z`) - Math.floor(ms / 1000) * 1000;
}
