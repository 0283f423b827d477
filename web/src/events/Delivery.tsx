// Plan against actual: minute by minute what was asked, what the held loads gave up, and what else could be called.
import { useMemo, useState } from "react";
import uPlot from "uplot";
import type { GridEvent, Look, Page } from "../api";
import { inZone, steps, timeAxis, valueAxis } from "../chart/axes";
import { Plot, type Shape } from "../chart/Plot";
import { Problem, saveCsv } from "../client";
import { count, kw, ratio, seconds, zoneName } from "../format";
import { useLoad } from "../load";
import { Fact } from "../parts/Fact";
import { Icon } from "../parts/Icon";
import { ProblemNote } from "../parts/Notes";
import { useZone } from "../parts/When";
import { colour } from "../theme";

export function Delivery({ event }: { event: GridEvent }) {
  const path = `/v1/events/${encodeURIComponent(event.event_id)}/delivery`;
  const { data, problem, loading } = useLoad<Page<Look>>(`${path}?limit=1000`, {
    version: event.state,
    everyMs: event.state === "active" ? 2_000 : 0,
  });
  const [saving, setSaving] = useState<Problem | null>(null);
  const looks = data?.items ?? [];
  const csv = () =>
    saveCsv(path, `delivery-${event.event_id}.csv`).then(
      () => setSaving(null),
      (error: unknown) => setSaving(error instanceof Problem ? error : null),
    );
  return (
    <>
      <div className="table-tools">
        <span className="quiet">
          Each minute what is given up is compared with the target: what is missing is called, what is too much comes back.
        </span>
        <button type="button" className="button small" onClick={() => void csv()}>
          <Icon name="save" /> CSV
        </button>
      </div>
      <ProblemNote problem={problem ?? saving} />
      {looks.length > 0 ? (
        <Chart looks={looks} />
      ) : (
        <p className="quiet pad">{loading ? "Loading…" : "Nothing yet: the first look comes when the event is planned."}</p>
      )}
    </>
  );
}

function Chart({ looks }: { looks: Look[] }) {
  const zone = useZone();
  const [cursor, setCursor] = useState<number | null>(null);
  const data = useMemo<uPlot.AlignedData>(() => {
    const of = (value: (look: Look) => number) => looks.map(value);
    return [
      looks.map((look) => Date.parse(look.at) / 1000),
      of((look) => look.target_kw),
      of((look) => look.delivered_kw),
      of((look) => look.delivered_kw + look.headroom_kw),
    ];
  }, [looks]);
  const build = useMemo(() => shape(zone), [zone]);
  const look = looks[cursor ?? looks.length - 1];
  return (
    <>
      {look && (
        <dl className="facts read-out">
          <Fact name="At">
            {seconds(Date.parse(look.at), zone)} {zoneName(Date.parse(look.at), zone)}
          </Fact>
          <Fact name={<Key line="target" text="Target" />}>{kw(look.target_kw)}</Fact>
          <Fact name={<Key line="shed" text="Delivered, as metered" />}>
            {kw(look.delivered_kw)} ({ratio(look.delivered_kw, look.target_kw)})
          </Fact>
          <Fact name={<Key line="baseline" text="Could still be called" />}>{kw(look.headroom_kw)}</Fact>
          <Fact name="Loads held">{count(look.held)}</Fact>
        </dl>
      )}
      <Plot
        build={build}
        data={data}
        range={null}
        size="middle"
        label="Delivered power against the target, by minute. Arrow keys move the read-out."
        onCursor={setCursor}
      />
    </>
  );
}

function Key({ line, text }: { line: string; text: string }) {
  return (
    <>
      <i className={`line ${line}`} aria-hidden="true" />
      {text}
    </>
  );
}

function shape(zone: string): () => Shape {
  const paths = steps("start");
  const line = (name: string, width: number, dash?: number[]): uPlot.Series => ({
    stroke: () => colour(name),
    width,
    paths,
    points: { show: false },
    ...(dash && { dash }),
  });
  return () => ({
    tzDate: inZone(zone),
    axes: [timeAxis(zone), valueAxis()],
    scales: { y: { range: (u) => [0, 1.25 * Math.max(1, most(u, 1), most(u, 2))] } }, // headroom may dwarf both
    series: [{}, line("--target", 2, [2, 3]), { ...line("--shed", 1.75), fill: () => colour("--shed-wash") }, line("--baseline", 1, [4, 4])],
  });
}

const most = (u: uPlot, series: number) => Math.max(0, ...((u.data[series] ?? []) as number[]));
