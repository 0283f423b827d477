// The main chart's values as a table, newest first.
import { useMemo } from "react";
import { count, quantity } from "../format";
import { Table, type Column } from "../parts/Table";
import { When } from "../parts/When";
import { rowsOf, type Columns, type Row } from "./powerColumns";

const HEADS: Column<Row>[] = [
  { label: "From", cell: (r) => <When at={r.at} />, sort: (r) => r.at },
  { label: "Used kW", number: true, cell: (r) => quantity(r.used), sort: (r) => r.used },
  { label: "Baseline kW", number: true, cell: (r) => quantity(r.baseline), sort: (r) => r.baseline },
  { label: "Target kW", number: true, cell: (r) => quantity(r.target), sort: (r) => r.target },
  { label: "Homes with data", number: true, cell: (r) => count(r.vens), sort: (r) => r.vens },
];

export function PowerTable({ columns }: { columns: Columns }) {
  const rows = useMemo(() => rowsOf(columns).reverse(), [columns]);
  return (
    <Table
      caption="Fleet power by time"
      columns={HEADS}
      rows={rows}
      rowKey={(r) => r.at}
      empty="No values in this range."
    />
  );
}
