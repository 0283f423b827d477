// The main chart's values as a table, newest first.
import { useMemo } from "react";
import { count, quantity } from "../format";
import { Table, type Column } from "../parts/Table";
import { When } from "../parts/When";
import type { Columns } from "./powerColumns";

interface Row {
  at: string;
  used: number | null | undefined;
  baseline: number | null | undefined;
  target: number | null | undefined;
  vens: number | null | undefined;
}

export function PowerTable({ columns, zone }: { columns: Columns; zone: string }) {
  const rows = useMemo<Row[]>(
    () =>
      columns.at
        .map((at, i) => ({
          at: new Date(at * 1000).toISOString(),
          used: columns.used[i],
          baseline: columns.baseline[i],
          target: columns.target[i],
          vens: columns.vens[i],
        }))
        .reverse(),
    [columns],
  );
  const heads: Column<Row>[] = [
    { label: "From", cell: (r) => <When at={r.at} zone={zone} />, sort: (r) => r.at },
    { label: "Used kW", number: true, cell: (r) => quantity(r.used), sort: (r) => r.used ?? null },
    { label: "Baseline kW", number: true, cell: (r) => quantity(r.baseline), sort: (r) => r.baseline ?? null },
    { label: "Target kW", number: true, cell: (r) => quantity(r.target), sort: (r) => r.target ?? null },
    { label: "Homes with data", number: true, cell: (r) => count(r.vens), sort: (r) => r.vens ?? null },
  ];
  return <Table caption="Fleet power by time" columns={heads} rows={rows} rowKey={(r) => r.at} empty="No values in this range." />;
}
