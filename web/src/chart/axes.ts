// What all charts share: axes that read in a zone and a locale, lines that show a lone point between gaps.
import uPlot from "uplot";
import { axisNumber, day, known, month, seconds, time } from "../format";
import { colour } from "../theme";

const DAY_S = 86_400;

function font(): string {
  return `12px ${getComputedStyle(document.body).fontFamily}`;
}

export function timeAxis(zone: string): uPlot.Axis {
  return {
    stroke: () => colour("--ink-3"),
    grid: { stroke: () => colour("--grid"), width: 1 },
    ticks: { show: false },
    font: font(),
    space: 72,
    size: 32,
    gap: 8,
    values: (u, splits, __, ___, step) => splits.map((s) => (cutOff(u, s) ? "" : timeLabel(s * 1000, zone, step))),
  };
}

/** Whether a label would stand over the right edge. */
function cutOff(u: uPlot, at: number): boolean {
  return u.valToPos(at, "x") > u.bbox.width / devicePixelRatio - 20;
}

function timeLabel(ms: number, zone: string, stepS: number): string {
  if (stepS >= 27 * DAY_S) return month(ms, zone);
  const clock = time(ms, zone);
  if (stepS >= DAY_S || clock === "00:00") return day(ms, zone);
  return stepS < 60 ? seconds(ms, zone) : clock;
}

export function valueAxis(): uPlot.Axis {
  return {
    stroke: () => colour("--ink-3"),
    grid: { stroke: () => colour("--grid"), width: 1 },
    ticks: { show: false },
    font: font(),
    space: 36,
    size: (_, values) => 16 + 7 * Math.max(3, ...(values ?? []).map((v) => (v ?? "").length)),
    values: (_, splits) => splits.map(axisNumber),
  };
}

export function inZone(zone: string): (ts: number) => Date {
  const name = known(zone);
  return (ts) => uPlot.tzDate(new Date(ts * 1000), name);
}

/** A mean drawn over its whole interval, of which `at` marks the start or the end. */
export function steps(stamp: "start" | "end"): uPlot.Series.PathBuilder {
  return uPlot.paths.stepped?.({ align: stamp === "start" ? 1 : -1 }) ?? (() => null);
}

/** Points of a line that have no neighbour to be joined to: without them a reading between two gaps is invisible. */
export function lonePoints(width: number, name: string): uPlot.Series.Points {
  return {
    show: true,
    size: width * 2 + 1,
    stroke: () => colour(name),
    fill: () => colour(name),
    filter: (u, index) => lone(u.data[index] as ArrayLike<number | null | undefined>),
  };
}

function lone(values: ArrayLike<number | null | undefined>): number[] {
  const found: number[] = [];
  const nothing = (i: number) => i < 0 || i >= values.length || values[i] === null;
  for (let i = 0; i < values.length; i++) {
    if (values[i] != null && nothing(i - 1) && nothing(i + 1)) found.push(i);
  }
  return found;
}
