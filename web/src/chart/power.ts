// The fleet's power over a window of platform time: loaded whole, then its end again and again; a lost link is caught up.
import { useEffect, useRef, useState } from "react";
import type { FleetPower, GridEvent } from "../api";
import { get, Problem, withQuery } from "../client";
import { clockSpeed, platformNow } from "../clock";
import { iso, isOpenEnded } from "../format";
import { isLive, useReopened } from "../platform";

export const RANGES = [
  { key: "15m", label: "15 min", seconds: 900, step: 30, ahead: 450 },
  { key: "1h", label: "1 h", seconds: 3_600, step: 60, ahead: 1_800 },
  { key: "6h", label: "6 h", seconds: 21_600, step: 60, ahead: 10_800 },
  { key: "24h", label: "24 h", seconds: 86_400, step: 300, ahead: 21_600 },
  { key: "7d", label: "7 d", seconds: 604_800, step: 1_800, ahead: 86_400 },
] as const;

/** Either the last `seconds` up to now, or a fixed time around an event; in seconds since 1970. */
interface Past {
  step: number;
  seconds: number;
  start: number | null; // null: it moves with the clock
}

export interface Window extends Past {
  ahead: number; // so many seconds are forecast
}

const STEPS = [30, 60, 300, 900, 1_800, 3_600];

export function windowOf(key: string, event: GridEvent | null): Window {
  if (key === "event" && event) {
    const [from, to] = drawn(Date.parse(event.start_at) / 1000, Date.parse(event.end_at) / 1000);
    const around = Math.max(600, (to - from) / 2);
    const seconds = to - from + 2 * around;
    return { start: from - around, seconds, step: STEPS.find((s) => seconds / s <= 400) ?? 3_600, ahead: 0 };
  }
  const range = RANGES.find((r) => r.key === key) ?? RANGES[1];
  return { start: null, seconds: range.seconds, step: range.step, ahead: range.ahead };
}

const HOUR = 3_600;
const WEEK = 168 * HOUR;

/** What to draw of an event: at most a week, its latest once it has begun; one without end goes on to the next hour. */
function drawn(start: number, end: number): [number, number] {
  const now = platformNow() / 1000;
  const least = isOpenEnded(end * 1000) ? HOUR : WEEK;
  const to = Math.min(end, Math.max(start + least, Math.ceil(now / HOUR) * HOUR));
  return [Math.max(start, to - WEEK), to];
}

export function spanOf(window: Past): [number, number] {
  const now = platformNow() / 1000;
  const start = window.start ?? now - window.seconds;
  return [
    Math.floor(start / window.step) * window.step,
    Math.ceil(Math.min(start + window.seconds, now) / window.step) * window.step,
  ];
}

export function pathOf(window: Past, [start, end] = spanOf(window)): string {
  return withQuery("/v1/fleet/power", { start: iso(start * 1000), end: iso(end * 1000), step_s: window.step });
}

export interface Power {
  at: number[];
  used: (number | null)[];
  vens: number[];
  problem: Problem | null;
}

const NONE: Power = { at: [], used: [], vens: [], problem: null };
const WHOLE_EVERY = 30; // late readings change older steps too

export function usePower({ start, seconds, step }: Past): Power {
  const [power, setPower] = useState<Power>(NONE);
  const reopened = useReopened();
  const held = useRef<Power>(NONE);

  useEffect(() => {
    held.current = NONE; // another window: nothing of the old one is shown
    setPower(NONE);
  }, [start, seconds, step]);

  useEffect(() => {
    const stop = new AbortController();
    const window = { start, seconds, step };
    let timer = 0;
    let round = 1;
    const loadOnce = async (): Promise<Power> => {
      const [from, to] = spanOf(window);
      const last = held.current.at.at(-1);
      const since =
        last === undefined || last > to || round++ % WHOLE_EVERY === 0 ? from : Math.max(from, last - 3 * step);
      if (to <= since) return held.current;
      return merged(held.current, await get<FleetPower>(pathOf(window, [since, to]), stop.signal), from, since);
    };
    const load = async () => {
      if (held.current === NONE || isLive()) {
        const news = await loadOnce().catch((error: unknown) => ({
          ...held.current,
          problem: error instanceof Problem ? error : null,
        }));
        if (stop.signal.aborted) return;
        held.current = news;
        setPower(news);
      }
      timer = setTimeout(load, Math.min(10_000, Math.max(1_000, (step / clockSpeed()) * 1000))) as unknown as number;
    };
    void load();
    return () => {
      stop.abort();
      clearTimeout(timer);
    };
  }, [start, seconds, step, reopened]);

  return power;
}

/** What was held before `since`, without what left the window at `from`, then the news. */
function merged(held: Power, news: FleetPower, from: number, since: number): Power {
  const first = held.at.findIndex((at) => at >= from);
  const until = held.at.findIndex((at) => at >= since);
  const [a, b] = [first < 0 ? held.at.length : first, until < 0 ? held.at.length : until];
  return {
    at: [...held.at.slice(a, b), ...news.at],
    used: [...held.used.slice(a, b), ...news.used_kw],
    vens: [...held.vens.slice(a, b), ...news.vens],
    problem: null,
  };
}
