// What an event was worth: the statement's figures, its lines by VEN, and the way to the readings behind a line.
import { useState } from "react";
import type { GridEvent, Page, Statement, StatementLine, StatementSummary } from "../api";
import { Problem, saveCsv } from "../client";
import { count, duration, hundredths, ratio } from "../format";
import { useLoad } from "../load";
import { Figure } from "../parts/Figure";
import { Icon } from "../parts/Icon";
import { Copy, Empty, ProblemNote } from "../parts/Notes";
import { Table, type Column } from "../parts/Table";
import { When } from "../parts/When";
import { usePlatform } from "../platform";
import { Readings } from "./Readings";

export function Statements({ event }: { event: GridEvent }) {
  const announced = usePlatform((p) => p.statements.get(event.event_id) ?? 0);
  const path = `/v1/statements?event_id=${encodeURIComponent(event.event_id)}`;
  const { data, problem, loading } = useLoad<Page<StatementSummary>>(path, { version: `${announced} ${event.state}` });
  const [chosen, setChosen] = useState<string | null>(null);
  const made = [...(data?.items ?? [])].sort((a, b) => Date.parse(b.known_at) - Date.parse(a.known_at));
  const shown = made.find((s) => s.statement_id === chosen) ?? made[0];

  if (!shown) {
    if (loading) return <p className="quiet pad">Loading…</p>;
    return (
      <>
        <ProblemNote problem={problem} />
        <Empty title="No statement yet">
          {event.state === "cancelled"
            ? "The event was cancelled."
            : "It is made when the event has ended and its readings are in: baseline, use and delivery of every home, to the kilowatt-hour."}
        </Empty>
      </>
    );
  }
  return (
    <>
      {made.length > 1 && (
        <label className="table-tools">
          <span className="quiet">Restated {made.length - 1}×. As known at</span>
          <select value={shown.statement_id} onChange={(e) => setChosen(e.target.value)}>
            {made.map((s, i) => (
              <option key={s.statement_id} value={s.statement_id}>
                {s.known_at.slice(0, 19).replace("T", " ")} UTC{i === 0 ? " (latest)" : ""}
              </option>
            ))}
          </select>
        </label>
      )}
      <Figures s={shown} />
      <Lines summary={shown} />
    </>
  );
}

const SHORT = 0.9; // of the target: less is not said in the colour of success

function Figures({ s }: { s: StatementSummary }) {
  const part = s.target_kwh > 0 ? s.delivered_kwh / s.target_kwh : 0;
  return (
    <div className="statement-figures">
      <dl>
        <Figure name="Baseline" mark="baseline" value={s.baseline_kwh} unit="kWh" />
        <Figure name="Used" mark="used" value={s.used_kwh} unit="kWh" />
        <Figure name="Delivered" mark="shed" value={s.delivered_kwh} unit="kWh" />
        <Figure name="Target" mark="target" value={s.target_kwh} unit="kWh" />
      </dl>
      <div className="verdict">
        <p>
          <b className={part < SHORT ? "short" : ""}>{ratio(s.delivered_kwh, s.target_kwh)}</b> of the target delivered by
          the {s.vens} homes called
        </p>
        {s.delivered_low_kwh != null && s.delivered_high_kwh != null && (
          <p className="quiet">
            Its baseline leaves it between {hundredths(s.delivered_low_kwh)} and {hundredths(s.delivered_high_kwh)} kWh
          </p>
        )}
        <div className="track tall" aria-hidden="true">
          <i className={part < SHORT ? "short" : "shed"} style={{ width: `${Math.min(1, Math.max(0, part / 1.25)) * 100}%` }} />
          <i className="mark" style={{ left: "80%" }} />
        </div>
      </div>
    </div>
  );
}

const COLUMNS: Column<StatementLine>[] = [
  { label: "VEN", cell: (l) => l.ven_id, sort: (l) => l.ven_id },
  { label: "Baseline kWh", number: true, cell: (l) => hundredths(l.baseline_kwh), sort: (l) => l.baseline_kwh },
  { label: "Used kWh", number: true, cell: (l) => hundredths(l.used_kwh), sort: (l) => l.used_kwh },
  {
    label: "Delivered kWh",
    number: true,
    cell: (l) => <b>{hundredths(l.delivered_kwh)}</b>,
    sort: (l) => l.delivered_kwh,
  },
  {
    label: "Gap",
    number: true,
    cell: (l) => (l.gap_seconds > 0 ? <span className="tag stale">{duration(l.gap_seconds)}</span> : "–"),
    sort: (l) => l.gap_seconds,
  },
  { label: "Readings", number: true, cell: (l) => count(l.readings), sort: (l) => l.readings },
  {
    label: "Note",
    cell: (l) => (l.note ? <span className="wrap noted">{l.note}</span> : ""),
    sort: (l) => l.note || null,
  },
];

function Lines({ summary }: { summary: StatementSummary }) {
  const path = `/v1/statements/${encodeURIComponent(summary.statement_id)}`;
  const { data, problem } = useLoad<Statement>(path);
  const [line, setLine] = useState<StatementLine | null>(null);
  const [saving, setSaving] = useState<Problem | null>(null);
  const csv = () =>
    saveCsv(path, `statement-${summary.statement_id}.csv`).then(
      () => setSaving(null),
      (error: unknown) => setSaving(error instanceof Problem ? error : null),
    );
  return (
    <>
      <ProblemNote problem={problem ?? saving} />
      <Table
        caption="Statement by VEN"
        columns={COLUMNS}
        rows={data?.lines ?? []}
        rowKey={(l) => l.ven_id}
        rowClass={(l) => (l.note || l.gap_seconds > 0 ? "marked" : "")}
        onOpen={setLine}
        empty={data ? "No VEN took part." : "Loading…"}
      />
      {data && (
        <div className="panel-foot">
          <p className="quiet">
            {count(data.vens)} homes, rule <code>{data.rule}</code>, from what was known at{" "}
            <When at={data.known_at} withZone />. Digest <code title={data.digest}>{data.digest.slice(0, 16)}…</code>{" "}
            <Copy text={data.digest} label="Copy the digest" />
          </p>
          <button type="button" className="button small" onClick={() => void csv()}>
            <Icon name="save" />
            CSV
          </button>
        </div>
      )}
      {line && <Readings statement={summary} line={line} onClose={() => setLine(null)} />}
    </>
  );
}
