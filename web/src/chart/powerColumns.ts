// The columns of the main chart on one time axis: used, baseline, target, and what is forecast. A gap stays a gap.
import uPlot from "uplot";
import type { Baseline, GridEvent, LivePower } from "../api";
import { iso } from "../format";
import { leftAt, type Ahead } from "./forecast";
import type { Power } from "./power";

type Column = (number | null | undefined)[];
type Joined = [number[], Column, Column, Column, Column, Column, Column, Column];

export interface Columns {
  at: number[];
  used: Column; // undefined: this series has no step here, and its line goes on; null: nothing is known
  vens: Column;
  baseline: Column;
  target: Column;
  low: Column; // of the forecast, from now on
  mid: Column;
  high: Column;
  window: readonly [number, number] | null; // of the baseline, in seconds since 1970
  steps: number; // how many of the fleet's steps: what is after them is only now's power
  plot: uPlot.AlignedData;
}

export interface Row {
  at: string;
  used: number | null;
  baseline: number | null;
  target: number | null;
  vens: number | null;
}

export function columnsOf(
  power: Power,
  live: LivePower | null,
  event: GridEvent | null,
  baseline: Baseline | null,
  ahead: Ahead | null,
): Columns {
  const whole = settledSteps(power, live);
  const own: uPlot.AlignedData = [power.at.slice(0, whole), power.used.slice(0, whole), power.vens.slice(0, whole)];
  const last = own[0].at(-1);
  if (live && last !== undefined && Date.parse(live.at) / 1000 > last) {
    (own[0] as number[]).push(Date.parse(live.at) / 1000);
    (own[1] as Column).push(live.used_kw);
    (own[2] as Column).push(live.online);
  }
  const over = event && baseline ? overlay(event, baseline) : ([[], [], []] as uPlot.AlignedData);
  const left = ahead && leftAt(own[0].at(-1) ?? 0, ahead);
  const next: uPlot.AlignedData = left ? [left.at, left.low, left.mid, left.high] : [[], [], [], []];
  const [at, used, vens, base, target, low, mid, high] = uPlot.join([own, over, next]) as unknown as Joined;
  const window = event && baseline ? windowOf(event) : null;
  const columns = { at, used, vens, baseline: base, target, low, mid, high, window, steps: whole };
  return { ...columns, plot: [at, used, base, target, low, mid, high] as uPlot.AlignedData };
}

const FILLING_S = 240; // a fast clock leaves readings minutes behind

/** How many steps to draw: the newest ones are still filling and would look like a fall of power. */
function settledSteps(power: Power, live: LivePower | null): number {
  let n = power.at.length;
  const step = (power.at[1] ?? 0) - (power.at[0] ?? 0);
  const least = n - Math.max(3, step > 0 ? FILLING_S / step : 0);
  while (n > 0 && n > least && live && (power.vens[n - 1] ?? 0) < 0.95 * live.online) n--;
  return n;
}

const windowOf = (event: GridEvent): [number, number] => [
  Date.parse(event.start_at) / 1000,
  Date.parse(event.end_at) / 1000,
];

/** Baseline and target within the event's window, the last step held to its end. */
function overlay(event: GridEvent, baseline: Baseline): uPlot.AlignedData {
  const [start, end] = windowOf(event);
  const at: number[] = [];
  const base: (number | null)[] = [];
  baseline.at.forEach((t, i) => {
    if (t < start || t >= end) return;
    at.push(t);
    base.push(baseline.baseline_kw[i] ?? null);
  });
  const last = at.at(-1);
  if (last !== undefined && last + baseline.step_s >= end) {
    at.push(end);
    base.push(base.at(-1) ?? null);
  }
  return [at, base, base.map((b) => (b === null ? null : Math.round((b - event.target_kw) * 1000) / 1000))];
}

/** The value that stands at an index: its own, or that of the step begun before it, but not one before `since`. */
export function standing(columns: Columns, column: Column, index: number, since: number): number | null {
  for (let i = index; i >= 0 && (columns.at[i] as number) >= since; i--) {
    const value = column[i];
    if (value !== undefined) return value;
  }
  return null;
}

/** One row a step of the fleet's power, with the baseline and target that stand at its start. */
export function rowsOf(columns: Columns): Row[] {
  const [start, end] = columns.window ?? [0, 0];
  const own = columns.at.flatMap((_, i) => (columns.used[i] === undefined ? [] : [i])).slice(0, columns.steps);
  return own.map((i) => {
    const at = columns.at[i] as number;
    const [baseline, target] = [columns.baseline, columns.target].map((c) =>
      at >= start && at < end ? standing(columns, c, i, start) : null,
    );
    return {
      at: iso(at * 1000),
      used: columns.used[i] ?? null,
      baseline: baseline ?? null,
      target: target ?? null,
      vens: columns.vens[i] ?? null,
    };
  });
}

export function csvOf(columns: Columns): Blob {
  const lines = rowsOf(columns).map((r) =>
    [r.at, r.used ?? "", r.baseline ?? "", r.target ?? "", r.vens ?? ""].join(","),
  );
  return new Blob([["at,used_kw,baseline_kw,target_kw,vens", ...lines, ""].join("\r\n")], { type: "text/csv" });
}
