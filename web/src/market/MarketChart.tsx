// One market series: drawn whole, then closer as one drags over it; with its unit, zone and interval convention.
import { useEffect, useState } from "react";
import type { Declaration, SeriesChart } from "../api";
import { SeriesPlot } from "../chart/SeriesPlot";
import { get, Problem, saveCsv, withQuery } from "../client";
import { platformNow } from "../clock";
import { duration, iso, known, zoneName } from "../format";
import { Fact } from "../parts/Fact";
import { Icon } from "../parts/Icon";
import { Copy, ProblemNote } from "../parts/Notes";

const POINTS = 1000;
const FIRST = Date.UTC(1990, 0) / 1000;

type Range = readonly [number, number];

export function MarketChart({ series }: { series: Declaration }) {
  const [zoom, setZoom] = useState<Range | null>(null);
  const [chart, setChart] = useState<SeriesChart | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  const zone = known(series.zone);

  useEffect(() => {
    const stop = new AbortController();
    const load = zoom ? part(series, zoom, stop.signal) : whole(series, stop.signal);
    load
      .then(setChart)
      .catch((error: unknown) => !stop.signal.aborted && setProblem(error instanceof Problem ? error : null));
    return () => stop.abort();
  }, [series, zoom]);

  const values = withQuery(`/v1/series/${encodeURIComponent(series.series_id)}/values`, {
    start: chart?.start,
    end: chart?.end,
  });
  const empty = chart !== null && chart.at.length === 0;
  return (
    <div className="series-chart">
      <h3>
        <code>{series.series_id}</code>
      </h3>
      <ProblemNote problem={problem} />
      {chart && !empty ? (
        <SeriesPlot
          {...chart}
          unit={series.unit}
          zone={zone}
          size="middle"
          range={zoom ?? extent(chart)}
          label={series.series_id}
          onZoom={(a, b) => setZoom([a, b])}
        />
      ) : (
        <p className="quiet pad">{empty ? "No value in this range." : "Loading…"}</p>
      )}
      <dl className="facts">
        <Fact name="Unit">{series.unit}</Fact>
        <Fact name="Zone">
          {series.zone} ({zoneName((chart?.at[0] ?? 0) * 1000, zone)})
        </Fact>
        <Fact name="Interval">
          {duration(series.step_s)}, stamped at its {series.stamp}
        </Fact>
        <Fact name="A gap is">more than {duration(Math.max(series.hold_s, series.step_s))} without a value</Fact>
      </dl>
      <div className="panel-foot">
        <p className="quiet">
          {zoom ? "" : "Drag over the chart to look closer. "}Drawn from the start of each interval.
        </p>
        <div className="buttons">
          {zoom && (
            <button type="button" className="button small" onClick={() => setZoom(null)}>
              Whole series
            </button>
          )}
          <button
            type="button"
            className="button small"
            disabled={!chart}
            onClick={() =>
              void saveCsv(values, `${series.series_id}.csv`).catch((e: unknown) =>
                setProblem(e instanceof Problem ? e : null),
              )
            }
          >
            <Icon name="save" />
            CSV
          </button>
          <Copy label="Copy as API call" text={() => `curl -s '${location.origin}${values}'`}>
            API call
          </Copy>
        </div>
      </div>
    </div>
  );
}

/** From the first value to the end of the last one's interval; wide enough to see even one. */
function extent({ at, series }: SeriesChart): Range {
  const [first, last] = [at[0] ?? 0, (at.at(-1) ?? 0) + series.step_s];
  const room = Math.max(0, 12 * series.step_s - (last - first)) / 2;
  return [first - room, last + room];
}

function part(series: Declaration, [from, to]: Range, signal: AbortSignal): Promise<SeriesChart> {
  const query = { start: iso(Math.floor(from) * 1000), end: iso(Math.ceil(to) * 1000), points: POINTS };
  return get<SeriesChart>(withQuery(`/v1/series/${encodeURIComponent(series.series_id)}/chart`, query), signal);
}

/** The whole series. Nobody says where it begins: look at all of time, then closer at where the values are. */
async function whole(series: Declaration, signal: AbortSignal): Promise<SeriesChart> {
  let [from, to]: [number, number] = [FIRST, platformNow() / 1000 + 400 * 86_400];
  for (let looks = 0; ; looks++) {
    const chart = await part(series, [from, to], signal);
    const seen = chart.at.filter((_, i) => chart.value[i] != null);
    const [first, last] = [seen[0], seen.at(-1)];
    if (first === undefined || last === undefined || looks === 3) return chart;
    const after = last + 2 * series.step_s + (to - from) / POINTS;
    if (after - first > 0.6 * (to - from)) return chart;
    [from, to] = [first, after];
  }
}
