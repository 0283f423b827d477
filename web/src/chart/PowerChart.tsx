// The main chart: the fleet's power, what is forecast of it, and for one event window, baseline, target and delivery.
import { useMemo, useState } from "react";
import type { GridEvent } from "../api";
import { save } from "../client";
import { platformNow } from "../clock";
import { useBaseline } from "../events/focus";
import { iso, isOpenEnded } from "../format";
import { Empty, Copy, ProblemNote } from "../parts/Notes";
import { Icon } from "../parts/Icon";
import { useZone } from "../parts/When";
import { usePlatform } from "../platform";
import { useTick } from "../tick";
import { useChoice } from "../url";
import { useAhead } from "./forecast";
import { ForecastNote } from "./ForecastNote";
import { Plot } from "./Plot";
import { PowerTable } from "./PowerTable";
import { columnsOf, csvOf } from "./powerColumns";
import { ReadOut } from "./ReadOut";
import { pathOf, RANGES, usePower, windowOf } from "./power";
import { powerShape } from "./powerShape";

export function PowerChart({ event }: { event: GridEvent | null }) {
  useTick();
  const zone = useZone();
  const live = usePlatform((p) => p.power);
  const empty = usePlatform((p) => p.power?.vens === 0);
  const [chosen, choose] = useChoice("range");
  const [cursor, setCursor] = useState<number | null>(null);
  const [asTable, setAsTable] = useState(false);

  const key = chosen === "event" && event ? chosen : (RANGES.find((r) => r.key === chosen)?.key ?? "1h");
  const window = windowOf(key, event);
  const power = usePower(window);
  const baseline = useBaseline(event);
  const forecast = useAhead(window.ahead);
  const columns = useMemo(
    () => columnsOf(power, live, event, baseline, forecast),
    [power, live, event, baseline, forecast],
  );
  const [from, to] = event ? [Date.parse(event.start_at) / 1000, endOf(event)] : [0, 0];
  const cancelled = event?.state === "cancelled" && event.started_at === null;
  const build = useMemo(() => powerShape(zone, cancelled ? null : [from, to]), [zone, from, to, cancelled]);

  const now = platformNow() / 1000;
  const start = window.start ?? now - window.seconds;
  const next =
    event && !cancelled && !isOpenEnded(to * 1000) && to > now && from < now + window.seconds / 2
      ? Math.min(to + window.seconds * 0.03, now + window.seconds / 2)
      : 0;
  const ahead = forecast ? window.ahead : window.seconds * 0.02;
  const range: [number, number] = [
    start,
    window.start === null ? Math.max(now + ahead, next) : start + window.seconds,
  ];

  return (
    <section className="panel chart-panel" aria-labelledby="power-title">
      <div className="panel-head">
        <h2 id="power-title">Fleet power</h2>
        <div className="segments text" role="group" aria-label="Range of platform time">
          {RANGES.map((r) => (
            <button key={r.key} type="button" aria-pressed={r.key === key} onClick={() => choose(r.key)}>
              {r.label}
            </button>
          ))}
          <button
            type="button"
            aria-pressed={key === "event"}
            disabled={event === null}
            onClick={() => choose("event")}
          >
            Event
          </button>
        </div>
      </div>
      <ReadOut columns={columns} index={cursor} zone={zone} step={window.step} />
      <ProblemNote problem={power.problem} />
      {empty ? (
        <Empty title="No home has spoken yet" command="tieline sim --homes 200">
          Connect devices over MQTT, or start a simulated fleet beside this platform:
        </Empty>
      ) : asTable ? (
        <PowerTable columns={columns} />
      ) : (
        <Plot
          build={build}
          data={columns.plot}
          range={range}
          size="tall"
          label="Fleet power over time, with baseline and target of the event, and the forecast of the next hours. Arrow keys move the read-out; what was used is in the table too."
          onCursor={setCursor}
        />
      )}
      <div className="panel-foot">
        <div className="notes">
          <p className="quiet">
            {baseline
              ? basis(baseline.vens, baseline.rule, baseline.left_out)
              : `Mean power of all homes, every ${window.step} s. Times in ${zone}.`}
          </p>
          {window.ahead > 0 && <ForecastNote />}
        </div>
        <div className="buttons">
          <button type="button" className="button small" aria-pressed={asTable} onClick={() => setAsTable(!asTable)}>
            <Icon name="table" />
            Table
          </button>
          <button
            type="button"
            className="button small"
            onClick={() =>
              save(
                csvOf(columns),
                `fleet-power-${iso(start * 1000)
                  .slice(0, 16)
                  .replace(":", "")}.csv`,
              )
            }
          >
            <Icon name="save" />
            CSV
          </button>
          <Copy label="Copy as API call" text={() => `curl -s '${location.origin}${pathOf(window)}'`}>
            API call
          </Copy>
        </div>
      </div>
    </section>
  );
}

/** When it ended or will, in seconds since 1970: a stopped event ends early. */
function endOf(event: GridEvent): number {
  return Math.min(Date.parse(event.end_at), event.ended_at === null ? Infinity : Date.parse(event.ended_at)) / 1000;
}

function basis(vens: number, rule: string, leftOut: { ven_id: string; reason: string }[]) {
  const reasons = leftOut.map((v) => `${v.ven_id}: ${v.reason}`).join("\n");
  return (
    <>
      Baseline of {vens} homes, rule <code>{rule}</code>
      {leftOut.length > 0 && (
        <>
          ;{" "}
          <span className="hinted" title={reasons}>
            {leftOut.length} left out
          </span>
        </>
      )}
      .
    </>
  );
}
