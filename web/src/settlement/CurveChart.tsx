// An event of a participant drawn: load, baseline with its interval, what was delivered between them.
import { useMemo, useState } from "react";
import type uPlot from "uplot";
import type { Calibration } from "../api";
import { inZone, lonePoints, steps, timeAxis, valueAxis } from "../chart/axes";
import { Plot, type Shape } from "../chart/Plot";
import { fullDay, hundredths, time } from "../format";
import { Figure } from "../parts/Figure";
import { colour } from "../theme";
import type { Curve } from "./curve";
import { level } from "./HowSure";

const [LOAD, BASELINE, LOW, HIGH] = [1, 2, 3, 4];
const paths = steps("start");

interface Props {
  curve: Curve;
  zone: string;
  label: string;
  sure: Calibration | null;
}

export function CurveChart({ curve, zone, label, sure }: Props) {
  const [cursor, setCursor] = useState<number | null>(null);
  const [from, to] = curve.window;
  const build = useMemo(() => shape(zone, [from, to]), [zone, from, to]);
  const data = useMemo(
    () => [curve.at, curve.load, curve.baseline, curve.low, curve.high] as uPlot.AlignedData,
    [curve],
  );
  const i = cursor ?? curve.at.indexOf(from);
  const at = (curve.at[i] ?? from) * 1000;
  const [load, baseline, low, high] = [curve.load[i], curve.baseline[i], curve.low[i], curve.high[i]];
  return (
    <>
      <dl className="read-out">
        <div className="at">
          <dt>{cursor === null ? "At the start" : "At cursor"}</dt>
          <dd>
            {fullDay(at, zone)}, {time(at, zone)}
          </dd>
        </div>
        <Figure name="Load" mark="used" value={load} unit="kW" />
        <Figure name="Baseline" mark="baseline" value={baseline} unit="kW" />
        <Figure name="Delivered" mark="shed" value={load != null && baseline != null ? baseline - load : null} unit="kW" />
        {sure && !sure.why && (
          <div>
            <dt title="What would have been drawn in that step without the event lies within">
              <i className="line spread" aria-hidden="true" />
              {level(sure)} interval
            </dt>
            <dd>
              {low == null ? "–" : `${hundredths(low)} to ${hundredths(high)}`} {low != null && <span className="unit">kW</span>}
            </dd>
          </div>
        )}
      </dl>
      <Plot
        build={build}
        data={data}
        range={null}
        size="middle"
        label={`${label}. Arrow keys move the read-out.`}
        onCursor={setCursor}
      />
    </>
  );
}

function shape(zone: string, window: [number, number]): () => Shape {
  const hidden = { stroke: "transparent", paths, width: 0, points: { show: false } };
  return () => ({
    tzDate: inZone(zone),
    axes: [timeAxis(zone), valueAxis()],
    series: [
      {},
      { stroke: () => colour("--used"), paths, width: 2, points: lonePoints(2, "--used") },
      { stroke: () => colour("--baseline"), paths, width: 1.75, dash: [6, 4], points: { show: false } },
      hidden,
      hidden,
    ],
    bands: [
      { series: [HIGH, LOW], fill: () => colour("--baseline-wash") },
      { series: [BASELINE, LOAD], fill: () => colour("--shed-wash"), dir: -1 },
    ],
    hooks: { drawClear: [(u) => shade(u, window)] },
  });
}

function shade(u: uPlot, window: [number, number]): void {
  const { left, top, width, height } = u.bbox;
  const [a, b] = window.map((at) => Math.min(left + width, Math.max(left, u.valToPos(at, "x", true)))) as [number, number];
  u.ctx.fillStyle = colour("--window");
  u.ctx.fillRect(a, top, b - a, height);
}
