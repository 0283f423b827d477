// The chart's legend, which is also its read-out: the values under the cursor, else the latest.
import { fullDay, iso, quantity, seconds } from "../format";
import { Figure } from "../parts/Figure";
import { standing, type Columns } from "./powerColumns";

interface Props {
  columns: Columns;
  index: number | null;
  zone: string;
  step: number;
}

export function ReadOut({ columns, index, zone, step }: Props) {
  const latest = columns.used.findLastIndex((v) => v != null);
  const i = index !== null && index < columns.at.length ? index : latest;
  const at = i >= 0 ? (columns.at[i] as number) * 1000 : null;
  const [start, end] = columns.window ?? [0, 0];
  const inside = at !== null && at >= start * 1000 && at < end * 1000;
  const used = i >= 0 && i <= latest ? standing(columns, columns.used, i, 0) : null;
  const [low, mid, high] = [columns.low, columns.mid, columns.high].map((c) =>
    i >= latest ? standing(columns, c, i, columns.at[latest] ?? 0) : null,
  );
  const [baseline, target] = [columns.baseline, columns.target].map((c) =>
    inside ? standing(columns, c, i, start) : null,
  );
  const delivered = used != null && baseline != null ? baseline - used : null;
  return (
    <dl className="read-out">
      <div className="at">
        <dt>{index === null ? "Latest" : "At cursor"}</dt>
        <dd title={at === null ? "" : `${iso(at).slice(0, 19).replace("T", " ")} UTC; mean over ${step} s`}>
          {at === null ? "–" : `${fullDay(at, zone)}, ${seconds(at, zone)}`}
        </dd>
      </div>
      <Figure name="Used" mark="used" value={used} unit="kW" told={quantity} />
      <Figure name="Baseline" mark="baseline" value={baseline} unit="kW" told={quantity} />
      <Figure name="Target" mark="target" value={target} unit="kW" told={quantity} />
      <Figure name="Delivered" mark="shed" value={delivered} unit="kW" told={quantity} />
      <div>
        <dt title="Without events. Nine times in ten what comes lies within the band.">
          <i className="line forecast" aria-hidden="true" />
          Forecast
        </dt>
        <dd>
          {quantity(mid)} {mid != null && <span className="unit">kW, {quantity(low)} to {quantity(high)}</span>}
        </dd>
      </div>
    </dl>
  );
}
