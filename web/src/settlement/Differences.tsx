// What a restatement changed, participant by participant, and why.
import type { Difference, Page, RunSummary } from "../api";
import { useLoad } from "../load";
import { ProblemNote } from "../parts/Notes";
import { Table, type Column } from "../parts/Table";
import { change, decimal } from "./money";

const COLUMNS: Column<Difference>[] = [
  { label: "Participant", cell: (d) => d.ven_id, sort: (d) => d.ven_id },
  { label: "Before", number: true, cell: (d) => decimal(d.before), sort: (d) => Number(d.before) },
  { label: "After", number: true, cell: (d) => decimal(d.after), sort: (d) => Number(d.after) },
  { label: "Change", number: true, cell: (d) => <b>{change(d.change)}</b>, sort: (d) => Number(d.change) },
  { label: "Because", cell: (d) => <Because of={d} /> },
];

function Because({ of }: { of: Difference }) {
  return (
    <ul className="wrap">
      {of.because.map((line) => (
        <li key={line}>{line}</li>
      ))}
    </ul>
  );
}

export function Differences({ run, onOpen }: { run: RunSummary; onOpen: (venId: string) => void }) {
  const path = `/v1/settlements/${encodeURIComponent(run.run_id)}/differences?limit=1000`;
  const { data, problem } = useLoad<Page<Difference>>(path);
  return (
    <>
      <ProblemNote problem={problem} />
      <Table
        caption="What the restatement changed"
        columns={COLUMNS}
        rows={data?.items ?? []}
        rowKey={(d) => d.ven_id}
        onOpen={(d) => onOpen(d.ven_id)}
        empty={data ? "It changed no account." : "Loading…"}
      />
    </>
  );
}
