// The files that were loaded, and what became of each.
import type { LoadedFile } from "../api";
import { count, words } from "../format";
import { Dialog } from "../parts/Dialog";
import { Badge, type Tone } from "../parts/Notes";
import { Table, type Column } from "../parts/Table";
import { When } from "../parts/When";

const TONES: Record<LoadedFile["state"], Tone> = { loaded: "plain", partly_loaded: "stale", failed: "danger" };

const COLUMNS: Column<LoadedFile>[] = [
  {
    label: "File",
    cell: (f) => (
      <span className="wrap" title={f.digest}>
        {f.name}
        {f.reason && <span className="quiet reason">{f.reason}</span>}
      </span>
    ),
    sort: (f) => f.name,
  },
  { label: "Datasets", cell: (f) => <span className="wrap">{f.dataset || "–"}</span>, sort: (f) => f.dataset },
  { label: "State", cell: (f) => <Badge tone={TONES[f.state]}>{words(f.state)}</Badge>, sort: (f) => f.state },
  { label: "Readings", number: true, cell: (f) => count(f.rows), sort: (f) => f.rows },
  { label: "Series", number: true, cell: (f) => count(f.series), sort: (f) => f.series },
  { label: "Loaded", cell: (f) => <When at={f.loaded_at} />, sort: (f) => f.loaded_at },
];

export function Files({ files, onClose }: { files: LoadedFile[]; onClose: () => void }) {
  return (
    <Dialog title="Files loaded" onClose={onClose} wide>
      <Table caption="Files" columns={COLUMNS} rows={files} rowKey={(f) => f.digest} />
    </Dialog>
  );
}
