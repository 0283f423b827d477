// One interval: what its baseline is the mean of, day by day, and the readings that say what was used.
import { useMemo } from "react";
import type { EventExplained, Page, PaidInterval, Reading } from "../api";
import { withQuery } from "../client";
import { duration, hundredths } from "../format";
import { useLoad } from "../load";
import { Flags } from "../parts/Flags";
import { ProblemNote } from "../parts/Notes";
import { Table, type Column } from "../parts/Table";
import { When } from "../parts/When";
import type { Day } from "./curve";
import { decimal, kwh } from "./money";

interface Props {
  venId: string;
  event: EventExplained;
  interval: PaidInterval;
  days: Day[];
}

interface OfDay {
  day: string;
  kw: number | null;
}

const DAYS: Column<OfDay>[] = [
  { label: "Day", cell: (d) => d.day, sort: (d) => d.day },
  { label: "Mean kW", hint: "At the same time of that day", number: true, cell: (d) => hundredths(d.kw), sort: (d) => d.kw },
];

const READINGS: Column<Reading>[] = [
  { label: "At", cell: (r) => <When at={r.at} />, sort: (r) => r.at },
  { label: "Power kW", number: true, cell: (r) => hundredths(r.value), sort: (r) => r.value },
  { label: "Flags", cell: (r) => <Flags flags={r.flags} />, sort: (r) => r.flags },
  { label: "Known at", cell: (r) => <When at={r.known_at} />, sort: (r) => r.known_at },
];

export function IntervalTold({ venId, event, interval, days }: Props) {
  const i = event.intervals.indexOf(interval);
  const ofDays = days.map(({ day, kw }) => ({ day, kw: kw[i] ?? null }));
  const path = withQuery(`/v1/statements/${encodeURIComponent(event.statement_id)}/readings`, { ven_id: venId, limit: 1000 });
  const { data, problem } = useLoad<Page<Reading>>(path);
  const own = useMemo(() => standing(data?.items ?? [], interval), [data, interval]);
  return (
    <>
      <p>
        Baseline {kwh(interval.baseline_kwh)} less used {kwh(interval.used_kwh)}; {kwh(interval.paid_kwh)} of it count.
        {interval.gap_s > 0 && <b className="noted"> {duration(interval.gap_s)} without readings count on neither side.</b>}
      </p>
      <div className="behind">
        <div>
          <h5>Days behind the baseline</h5>
          <Table caption="Days behind the baseline" columns={DAYS} rows={ofDays} rowKey={(d) => d.day} empty="Loading…" />
          <p className="quiet">Their mean × {decimal(String(event.factor))}, as {event.rule} has it.</p>
        </div>
        <div>
          <h5>Readings, and those at its edges</h5>
          <ProblemNote problem={problem} />
          <Table
            caption="Readings of the interval"
            columns={READINGS}
            rows={own}
            rowKey={(r) => `${r.at} ${r.known_at}`}
            empty={data ? "No reading." : "Loading…"}
          />
        </div>
      </div>
    </>
  );
}

/** The readings of an interval, and those at its edges: either may stand in it, as its meter stamps. */
function standing(readings: Reading[], { from_at, until_at }: PaidInterval): Reading[] {
  const [from, until] = [Date.parse(from_at), Date.parse(until_at)];
  const after = readings.findIndex((r) => Date.parse(r.at) >= until);
  const before = readings.findLastIndex((r) => Date.parse(r.at) <= from);
  return readings.slice(Math.max(0, before), after < 0 ? undefined : after + 1);
}
