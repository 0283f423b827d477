// One series drawn: its mean as steps, between the low and the high of each step, with flagged readings marked.
import { useMemo, useState } from "react";
import uPlot from "uplot";
import { day, fullDay, iso, quantity, seconds, zoneName } from "../format";
import { colour } from "../theme";
import { inZone, lonePoints, steps, timeAxis, valueAxis } from "./axes";
import { Plot, type Shape } from "./Plot";

type Values = (number | null)[];

interface Props {
  at: number[];
  value: Values;
  low: Values;
  high: Values;
  flagged: number[];
  unit: string;
  zone: string;
  size: "middle" | "low";
  label: string;
  stamp?: "start" | "end"; // which edge of its interval `at` marks
  range?: readonly [number, number] | null;
  event?: [number, number];
  onZoom?: (start: number, end: number) => void;
}

export function SeriesPlot({
  at,
  value,
  low,
  high,
  flagged,
  unit,
  zone,
  size,
  label,
  stamp = "start",
  range = null,
  event,
  onZoom,
}: Props) {
  const [cursor, setCursor] = useState<number | null>(null);
  const data = useMemo(() => withFlags(at, value, low, high, flagged), [at, value, low, high, flagged]);
  const build = useMemo(() => shape(zone, stamp, event), [zone, stamp, event]);
  const latest = value.findLastIndex((v) => v !== null);
  const i = cursor ?? (data[0] as number[]).indexOf(at[latest] ?? NaN);
  const instant = (data[0][i] ?? null) as number | null;
  const shown = data[1]?.[i] ?? data[4]?.[i];
  const [least, most] = [data[2]?.[i], data[3]?.[i]];
  return (
    <>
      <p className="series-read-out">
        <b>
          {quantity(shown)} <span className="unit">{unit}</span>
        </b>
        {least != null && most != null && least !== most && (
          <span className="quiet">
            {quantity(least)} to {quantity(most)}
          </span>
        )}
        {instant !== null && (
          <time
            className="quiet"
            title={`${iso(instant * 1000)
              .slice(0, 19)
              .replace("T", " ")} UTC`}
          >
            {fullDay(instant * 1000, zone)}, {seconds(instant * 1000, zone)} {zoneName(instant * 1000, zone)}
          </time>
        )}
        {flagged.length > 0 && <span className="tag stale">{flagged.length} flagged</span>}
      </p>
      <Plot
        build={build}
        data={data}
        range={range}
        size={size}
        label={`${label}, from ${day((at[0] ?? 0) * 1000, zone)}. Arrow keys move the read-out.`}
        onCursor={setCursor}
        {...(onZoom && { onZoom })}
      />
    </>
  );
}

/** Flagged instants as a column of their own: at the value that stands there. */
function withFlags(at: number[], value: Values, low: Values, high: Values, flagged: number[]): uPlot.AlignedData {
  const marks = flagged.map((instant) => value[at.findLastIndex((t) => t <= instant)] ?? null);
  const own: uPlot.AlignedData = [at, value, low, high];
  return flagged.length ? uPlot.join([own, [flagged, marks]]) : [...own, at.map(() => null)];
}

function shape(zone: string, stamp: "start" | "end", event?: [number, number]): () => Shape {
  const paths = steps(stamp);
  return () => ({
    tzDate: inZone(zone),
    axes: [timeAxis(zone), valueAxis()],
    series: [
      {},
      { stroke: () => colour("--used"), paths, width: 1.75, points: lonePoints(1.75, "--used") },
      { stroke: "transparent", paths, width: 0, points: { show: false } },
      { stroke: "transparent", paths, width: 0, points: { show: false } },
      {
        stroke: "transparent",
        paths: () => null,
        points: { show: true, size: 6, stroke: () => colour("--stale"), fill: () => colour("--panel"), width: 1.5 },
      },
    ],
    bands: [{ series: [3, 2], fill: () => colour("--used-wash") }],
    hooks: {
      drawClear: [
        (u) => {
          if (!event) return;
          const [a, b] = event.map((t) =>
            Math.min(u.bbox.left + u.bbox.width, Math.max(u.bbox.left, u.valToPos(t, "x", true))),
          ) as [number, number];
          u.ctx.fillStyle = colour("--window");
          u.ctx.fillRect(a, u.bbox.top, b - a, u.bbox.height);
        },
      ],
    },
  });
}
