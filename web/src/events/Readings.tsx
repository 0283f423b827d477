// The very readings behind one line of a statement.
import { useMemo } from "react";
import type { Page, Reading, StatementLine, StatementSummary } from "../api";
import { withQuery } from "../client";
import { SeriesPlot } from "../chart/SeriesPlot";
import { hundredths } from "../format";
import { useLoad } from "../load";
import { Dialog } from "../parts/Dialog";
import { Flags } from "../parts/Flags";
import { ProblemNote } from "../parts/Notes";
import { Table, type Column } from "../parts/Table";
import { useZone, When } from "../parts/When";

const COLUMNS: Column<Reading>[] = [
  { label: "At", cell: (r) => <When at={r.at} />, sort: (r) => r.at },
  { label: "Power kW", number: true, cell: (r) => hundredths(r.value), sort: (r) => r.value },
  { label: "Flags", cell: (r) => <Flags flags={r.flags} />, sort: (r) => r.flags },
  { label: "Known at", cell: (r) => <When at={r.known_at} />, sort: (r) => r.known_at },
];

interface Props {
  statement: StatementSummary;
  line: StatementLine;
  onClose: () => void;
}

export function Readings({ statement, line, onClose }: Props) {
  const zone = useZone();
  const path = withQuery(`/v1/statements/${encodeURIComponent(statement.statement_id)}/readings`, {
    ven_id: line.ven_id,
    limit: 1000,
  });
  const { data, problem } = useLoad<Page<Reading>>(path);
  const drawn = useMemo(() => {
    const items = [...(data?.items ?? [])].sort((a, b) => Date.parse(a.at) - Date.parse(b.at));
    const at = items.map((r) => Date.parse(r.at) / 1000);
    const value = items.map((r) => r.value);
    return { at, value, low: value, high: value, flagged: at.filter((_, i) => (items[i]?.flags ?? 0) > 0) };
  }, [data]);
  const window = useMemo<[number, number]>(
    () => [Date.parse(statement.start_at) / 1000, Date.parse(statement.end_at) / 1000],
    [statement],
  );
  return (
    <Dialog title={<>Readings of {line.ven_id}</>} onClose={onClose} wide>
      <p className="quiet">
        Delivered {hundredths(line.delivered_kwh)} kWh: baseline {hundredths(line.baseline_kwh)} less used{" "}
        {hundredths(line.used_kwh)}. These readings are what it was reckoned from.
        {line.note && (
          <>
            {" "}
            <b className="noted">{line.note}</b>
          </>
        )}
      </p>
      <ProblemNote problem={problem} />
      {drawn.at.length > 1 && (
        <SeriesPlot
          {...drawn}
          unit="kW"
          zone={zone}
          stamp="end"
          size="low"
          event={window}
          label={`Readings of ${line.ven_id}`}
        />
      )}
      <Table
        caption={`Readings of ${line.ven_id}`}
        columns={COLUMNS}
        rows={data?.items ?? []}
        rowKey={(r) => `${r.at} ${r.known_at}`}
        pageSize={12}
        empty={data ? "No reading." : "Loading…"}
      />
    </Dialog>
  );
}
