// How the main chart is drawn: means as steps, so that an area is an energy; lines told apart by dash as well as by
// colour; the event's window shaded; what is forecast as a band around its middle.
import type uPlot from "uplot";
import { platformNow } from "../clock";
import { colour } from "../theme";
import { inZone, lonePoints, steps, timeAxis, valueAxis } from "./axes";
import type { Shape } from "./Plot";

const USED = 1;
const BASELINE = 2;
const [LOW, HIGH] = [4, 6];
const paths = steps("start");

export function powerShape(zone: string, event: [number, number] | null): () => Shape {
  const edge = { stroke: "transparent", paths, width: 0, points: { show: false } };
  return () => ({
    tzDate: inZone(zone),
    axes: [timeAxis(zone), valueAxis()],
    scales: { y: { range: (_, low, high) => fromZero(low, high) } },
    series: [
      {},
      {
        stroke: () => colour("--used"),
        paths,
        fill: () => colour("--used-wash"),
        width: 2,
        points: lonePoints(2, "--used"),
      },
      { stroke: () => colour("--baseline"), paths, width: 1.75, dash: [6, 4], points: { show: false } },
      { stroke: () => colour("--target"), paths, width: 1.75, dash: [2, 3], points: { show: false } },
      edge,
      { stroke: () => colour("--used"), paths, width: 1.5, dash: [4, 4], points: { show: false } },
      edge,
    ],
    bands: [
      { series: [BASELINE, USED], fill: () => colour("--shed-wash"), dir: -1 },
      { series: [HIGH, LOW], fill: () => colour("--forecast-wash") },
    ],
    hooks: { drawClear: [(u) => shade(u, event)] },
  });
}

function fromZero(low: number | null, high: number | null): [number, number] {
  if (low === null || high === null || (low === 0 && high === 0)) return [0, 1];
  const room = (Math.max(0, high) - Math.min(0, low)) * 0.12;
  return [low < 0 ? low - room : 0, Math.max(0, high) + room];
}

function shade(u: uPlot, event: [number, number] | null): void {
  const { left, top, width, height } = u.bbox;
  const within = (at: number) => Math.min(left + width, Math.max(left, u.valToPos(at, "x", true)));
  u.ctx.save();
  if (event) {
    const [a, b] = [within(event[0]), within(event[1])];
    u.ctx.fillStyle = colour("--window");
    u.ctx.fillRect(a, top, b - a, height);
  }
  const now = u.valToPos(platformNow() / 1000, "x", true);
  if (now < left + width) {
    u.ctx.fillStyle = colour("--line-strong");
    u.ctx.fillRect(Math.round(now), top, Math.max(1, devicePixelRatio), height);
  }
  u.ctx.restore();
}
