// Messages that were refused, and why.
import type { DeadLetter, Page } from "./api";
import { count } from "./format";
import { useLoad } from "./load";
import { Dialog } from "./parts/Dialog";
import { ProblemNote } from "./parts/Notes";
import { Table, type Column } from "./parts/Table";
import { When } from "./parts/When";

const COLUMNS: Column<DeadLetter>[] = [
  { label: "Said", cell: (d) => <When at={d.said_at} />, sort: (d) => d.said_at },
  { label: "VEN", cell: (d) => d.ven_id ?? "–", sort: (d) => d.ven_id },
  {
    label: "Reason",
    cell: (d) => (
      <span className="wrap">
        {d.reason}: {d.detail}
      </span>
    ),
    sort: (d) => d.reason,
  },
  { label: "Begins with", cell: (d) => <code className="excerpt">{d.excerpt}</code> },
  { label: "Bytes", number: true, cell: (d) => count(d.size), sort: (d) => d.size },
];

export function DeadLetters({ onClose }: { onClose: () => void }) {
  const { data, problem } = useLoad<Page<DeadLetter>>("/v1/dead-letters?limit=200", { everyMs: 5_000 });
  return (
    <Dialog title="Dead letters" onClose={onClose} wide>
      <p className="quiet">Messages that could not be taken in. The bytes are kept; nothing of them was counted.</p>
      <ProblemNote problem={problem} />
      <Table
        caption="Dead letters"
        columns={COLUMNS}
        rows={data?.items ?? []}
        rowKey={(d) => String(d.position)}
        empty="None."
      />
    </Dialog>
  );
}
