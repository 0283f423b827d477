// The delivery ledger of an event: for each load of each VEN, what was asked, answered and done, and when.
import { useMemo, useState } from "react";
import type { GridEvent, LedgerRow, Page } from "../api";
import { hundredths, words } from "../format";
import { useLoad } from "../load";
import { ProblemNote } from "../parts/Notes";
import { SearchBox } from "../parts/SearchBox";
import { Table, type Column } from "../parts/Table";
import { When } from "../parts/When";

const columnsOf = (event: GridEvent): Column<LedgerRow>[] => [
  { label: "VEN", cell: (r) => r.ven_id, sort: (r) => r.ven_id },
  { label: "Load", cell: (r) => r.resource_id, sort: (r) => r.resource_id },
  {
    label: "State",
    sort: (r) => r.state,
    cell: (r) => (
      <span className="row-state" title={r.cause ?? ""}>
        <i className={`row-${r.state}`} aria-hidden="true" />
        {words(r.state)}
      </span>
    ),
  },
  { label: "Answer", cell: (r) => (r.answer ? words(r.answer) : "–"), sort: (r) => r.answer },
  { label: "Planned kW", number: true, cell: (r) => hundredths(r.planned_kw), sort: (r) => r.planned_kw },
  { label: "Gives kW", number: true, cell: (r) => hundredths(r.delivered_kw), sort: (r) => r.delivered_kw },
  { label: "Planned", cell: (r) => <When on={event.start_at} at={r.planned_at} />, sort: (r) => r.planned_at },
  { label: "Sent", cell: (r) => <When on={event.start_at} at={r.sent_at} />, sort: (r) => r.sent_at },
  { label: "Acked", cell: (r) => <When on={event.start_at} at={r.acked_at} />, sort: (r) => r.acked_at },
  { label: "Acting", cell: (r) => <When on={event.start_at} at={r.acting_at} />, sort: (r) => r.acting_at },
  { label: "Metered", cell: (r) => <When on={event.start_at} at={r.metered_at} />, sort: (r) => r.metered_at },
  {
    label: "Opts out",
    cell: (r) => <When on={event.start_at} at={r.opted_out_from_at} />,
    sort: (r) => r.opted_out_from_at,
    hint: "From then on its owner gives nothing; until then it is held",
  },
  {
    label: "Restored",
    cell: (r) => <When on={event.start_at} at={r.restored_at ?? r.escalated_at} />,
    sort: (r) => r.restored_at ?? r.escalated_at,
    hint: "Or escalated",
  },
  {
    label: "Cause",
    cell: (r) => r.cause && <span className="wrap quiet">{words(r.cause)}</span>,
    sort: (r) => r.cause,
  },
];

export function Ledger({ event }: { event: GridEvent }) {
  const counts = Object.values(event.rows).join(",");
  const path = `/v1/events/${encodeURIComponent(event.event_id)}/ledger?limit=1000`;
  const { data, problem, loading } = useLoad<Page<LedgerRow>>(path, { version: `${event.state} ${counts}` });
  const [text, setText] = useState("");
  const columns = useMemo(() => columnsOf(event), [event]);
  const rows = (data?.items ?? []).filter((r) =>
    `${r.ven_id} ${r.resource_id} ${words(r.state)}`.includes(text.toLowerCase()),
  );
  return (
    <>
      <div className="table-tools">
        <SearchBox label="Search VEN, load or state" value={text} onChange={setText} />
        {data?.next_cursor && <span className="quiet">The first 1,000 rows.</span>}
      </div>
      <ProblemNote problem={problem} />
      <Table
        caption="Delivery ledger"
        columns={columns}
        rows={rows}
        rowKey={(r) => `${r.ven_id} ${r.resource_id}`}
        empty={
          loading
            ? "Loading…"
            : text
              ? "No row has this text."
              : "Not planned yet: rows appear when the event is planned, shortly before it starts."
        }
      />
    </>
  );
}
