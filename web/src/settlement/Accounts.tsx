// The accounts of a run: searched, sorted, opened.
import { useMemo, useState } from "react";
import type { Account, Page, RunSummary } from "../api";
import { count } from "../format";
import { useLoad } from "../load";
import { ProblemNote } from "../parts/Notes";
import { SearchBox } from "../parts/SearchBox";
import { Table, type Column } from "../parts/Table";
import { decimal } from "./money";

const MOST = 1000;

const delivered = (a: Account): number => a.deliveries.reduce((sum, one) => sum + Number(one.delivered_kwh), 0);
const gaps = (a: Account): number => a.deliveries.filter((one) => one.gap_seconds > 0 || one.note).length;

function columns(currency: string, disputed: string[]): Column<Account>[] {
  return [
    { label: "Participant", cell: (a) => a.ven_id, sort: (a) => a.ven_id },
    { label: "Events", number: true, cell: (a) => count(a.deliveries.length), sort: (a) => a.deliveries.length },
    { label: "Delivered kWh", number: true, cell: (a) => decimal(delivered(a).toFixed(3)), sort: delivered },
    { label: "Net", number: true, cell: (a) => decimal(a.net), sort: (a) => Number(a.net) },
    { label: "Tax", number: true, cell: (a) => decimal(a.tax), sort: (a) => Number(a.tax) },
    { label: `Total ${currency}`, number: true, cell: (a) => <b>{decimal(a.total)}</b>, sort: (a) => Number(a.total) },
    {
      label: "To look at",
      cell: (a) => (
        <>
          {disputed.includes(a.ven_id) && <span className="tag danger">disputed</span>}
          {gaps(a) > 0 && <span className="tag stale">{gaps(a)} with gaps or notes</span>}
        </>
      ),
      sort: (a) => gaps(a) + (disputed.includes(a.ven_id) ? 1000 : 0),
    },
  ];
}

interface Props {
  run: RunSummary;
  disputed: string[];
  onOpen: (venId: string) => void;
}

export function Accounts({ run, disputed, onOpen }: Props) {
  const [text, setText] = useState("");
  const path = `/v1/settlements/${encodeURIComponent(run.run_id)}/accounts?limit=${MOST}`;
  const { data, problem } = useLoad<Page<Account>>(path);
  const sought = text.trim().toLowerCase();
  const rows = useMemo(() => (data?.items ?? []).filter((a) => a.ven_id.toLowerCase().includes(sought)), [data, sought]);
  return (
    <>
      <div className="table-tools">
        <SearchBox label="Search participants" value={text} onChange={setText} />
        {data?.next_cursor && <span className="quiet">The first {count(MOST)}; all are in the CSV.</span>}
        {data?.next_cursor && sought && rows.length === 0 && (
          <button type="button" className="button small" onClick={() => onOpen(text.trim())}>
            Open the account of {text.trim()}
          </button>
        )}
      </div>
      <ProblemNote problem={problem} />
      <Table
        caption="Accounts of the run"
        columns={columns(run.currency, disputed)}
        rows={rows}
        rowKey={(a) => a.ven_id}
        rowClass={(a) => (gaps(a) > 0 ? "marked" : "")}
        onOpen={(a) => onOpen(a.ven_id)}
        empty={data ? "No participant has this text." : "Loading…"}
      />
    </>
  );
}
