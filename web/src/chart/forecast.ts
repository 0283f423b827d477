// What the fleet is forecast to draw next: the intraday forecast as far as it goes, the day-ahead one beyond.
import { useMemo } from "react";
import type { Forecast, Listed, Page } from "../api";
import { clockSpeed, platformNow } from "../clock";
import { iso } from "../format";
import { useLoad } from "../load";

type Column = (number | null)[];
type Horizon = "intraday" | "day-ahead";

/** Mean power by quarter hour, in seconds since 1970, the last one held to its end. Nine times in ten what comes lies
 * between low and high. */
export interface Ahead {
  at: number[];
  low: Column;
  mid: Column;
  high: Column;
}

const FLEET = "fleet.load";
const STEP = 900;

/** Of the next `seconds`; null while there is none. */
export function useAhead(seconds: number): Ahead | null {
  const near = useValues("intraday", seconds);
  const far = useValues("day-ahead", seconds);
  return useMemo(() => joined(near, far), [near, far]);
}

/** The newest run, and how good those of the last 28 days were. */
export function useForecaster(): Listed | null {
  const found = useLoad<Page<Listed>>("/v1/forecasts?horizon=intraday&limit=10", { everyMs: renewedMs() }).data;
  return found?.items.find((one) => one.forecast_id === FLEET) ?? null;
}

function useValues(horizon: Horizon, seconds: number): Forecast | null {
  const query = () => {
    const now = platformNow();
    const start = now - (now % (STEP * 1000)); // the quarter hour that is begun
    return { horizon, start: iso(start), end: iso(now + seconds * 1000) };
  };
  const path = seconds > 0 ? `/v1/forecasts/${FLEET}/values` : null;
  return useLoad<Forecast>(path, { version: seconds, everyMs: renewedMs(), query }).data;
}

/** With every quarter hour of the platform's clock, within reason. */
const renewedMs = (): number => Math.min(60_000, Math.max(5_000, (STEP * 1000) / clockSpeed()));

/** Up to the first gap, the last value held to its end. */
function joined(near: Forecast | null, far: Forecast | null): Ahead | null {
  const steps = new Map([...known(far), ...known(near)]);
  const starts = [...steps.keys()].sort((a, b) => a - b);
  const gap = starts.findIndex((at, i) => i > 0 && at !== (starts[i - 1] as number) + STEP);
  const at = gap < 0 ? starts : starts.slice(0, gap);
  const last = at.at(-1);
  if (last === undefined) return null;
  const of = (n: 0 | 1 | 2): Column => [...at, last].map((t) => steps.get(t)?.[n] ?? null);
  return { at: [...at, last + STEP], low: of(0), mid: of(1), high: of(2) };
}

type Quantiles = [number | null, number | null, number | null];

function known(of: Forecast | null): [number, Quantiles][] {
  if (of === null) return [];
  const { at, p05_kw, p50_kw, p95_kw } = of;
  const all = at.map((t, i): [number, Quantiles] => [t, [p05_kw[i] ?? null, p50_kw[i] ?? null, p95_kw[i] ?? null]]);
  return all.filter(([, [, mid]]) => mid !== null);
}

/** What is left of it at an instant: the step that holds that instant begins there. */
export function leftAt(since: number, { at, low, mid, high }: Ahead): Ahead | null {
  const first = Math.max(0, at.findLastIndex((t) => t <= since));
  if (first >= at.length - 1) return null;
  const cut = (column: Column): Column => column.slice(first);
  return { at: at.slice(first).map((t) => Math.max(t, since)), low: cut(low), mid: cut(mid), high: cut(high) };
}
