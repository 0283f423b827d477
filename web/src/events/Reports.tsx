// The reports that an event asks of VENs: for each VEN how many came in time, came late, did not come, are expected.
import { useMemo, useState } from "react";
import type { GridEvent, Page, ReportState, TrackedReport } from "../api";
import { Problem, saveCsv } from "../client";
import { count, words } from "../format";
import { useLoad } from "../load";
import { Dialog } from "../parts/Dialog";
import { Icon } from "../parts/Icon";
import { Badge, ProblemNote, type Tone } from "../parts/Notes";
import { Table, type Column } from "../parts/Table";
import { When } from "../parts/When";

const MOST = 1000; // as many as /v1 gives at once

interface OfVen {
  ven_id: string;
  reports: TrackedReport[];
  number: Record<ReportState, number>;
  next: string | null; // when the next one is due
}

const COLUMNS: Column<OfVen>[] = [
  { label: "VEN", cell: (v) => v.ven_id, sort: (v) => v.ven_id },
  { label: "Missing", number: true, cell: (v) => marked(v.number.missing, "danger"), sort: (v) => v.number.missing },
  { label: "Late", number: true, cell: (v) => marked(v.number.late, "stale"), sort: (v) => v.number.late },
  {
    label: "Received",
    number: true,
    cell: (v) => some(v.number.received + v.number.not_wanted),
    sort: (v) => v.number.received + v.number.not_wanted,
    hint: "In time, due at no time, or not asked for",
  },
  {
    label: "Expected",
    number: true,
    cell: (v) => some(v.number.expected),
    sort: (v) => v.number.expected,
    hint: "Due within a day",
  },
  { label: "Next due", cell: (v) => <When at={v.next} />, sort: (v) => v.next },
  { label: "Asked for", cell: (v) => <span className="clip">{asked(v)}</span>, sort: asked },
];

export function Reports({ event }: { event: GridEvent }) {
  const path = `/v1/events/${encodeURIComponent(event.event_id)}/reports`;
  const { data, problem, loading } = useLoad<Page<TrackedReport>>(`${path}?limit=${MOST}`, {
    version: event.state,
    everyMs: 5_000,
  });
  const vens = useMemo(() => byVen(data), [data]);
  const [open, setOpen] = useState<string | null>(null);
  const [saving, setSaving] = useState<Problem | null>(null);
  const csv = () =>
    saveCsv(path, `reports-${event.event_id}.csv`).then(
      () => setSaving(null),
      (error: unknown) => setSaving(error instanceof Problem ? error : null),
    );
  const shown = vens.find((v) => v.ven_id === open);

  if (data?.items.length === 0)
    return (
      <p className="quiet">
        It asks for no report. An event with <code>reportDescriptors</code> tells VENs what to report and when; what
        comes, comes late or does not come is then listed here, VEN by VEN.
      </p>
    );
  return (
    <>
      <ProblemNote problem={problem ?? saving} />
      <Table
        caption="Reports by VEN"
        columns={COLUMNS}
        rows={vens}
        rowKey={(v) => v.ven_id}
        rowClass={(v) => (v.number.missing + v.number.late > 0 ? "marked" : "")}
        onOpen={(v) => setOpen(v.ven_id)}
        empty={loading ? "Loading…" : "None."}
      />
      {data && (
        <div className="panel-foot">
          <p className="quiet">
            {data.next_cursor ? `The first ${count(vens.length)} VENs; the CSV has all.` : `${count(vens.length)} VENs.`}
          </p>
          <button type="button" className="button small" onClick={() => void csv()}>
            <Icon name="save" />
            CSV
          </button>
        </div>
      )}
      {shown && <ReportsOf ven={shown} onClose={() => setOpen(null)} />}
    </>
  );
}

/** They come in order of VEN: what more there is than a page may be the last one's too, which is left out then. */
function byVen(page: Page<TrackedReport> | null): OfVen[] {
  const found = new Map<string, OfVen>();
  for (const report of page?.items ?? []) {
    const number = { expected: 0, received: 0, late: 0, missing: 0, not_wanted: 0 };
    const ven = found.get(report.ven_id) ?? { ven_id: report.ven_id, reports: [], number, next: null };
    found.set(report.ven_id, ven);
    ven.reports.push(report);
    ven.number[report.state]++;
    const due = report.state === "expected" ? report.due_at : null;
    if (due !== null && (ven.next === null || due < ven.next)) ven.next = due;
  }
  const vens = [...found.values()];
  return page?.next_cursor && vens.length > 1 ? vens.slice(0, -1) : vens;
}

function asked(ven: OfVen): string {
  return [...new Set(ven.reports.map((r) => r.payload_type ?? "nothing"))].join(", ");
}

const some = (number: number): string => (number === 0 ? "–" : count(number));

function marked(number: number, tone: "stale" | "danger") {
  return number === 0 ? "–" : <span className={`tag ${tone}`}>{count(number)}</span>;
}

const TONES: Record<ReportState, Tone> = {
  expected: "target",
  received: "shed",
  late: "stale",
  missing: "danger",
  not_wanted: "plain",
};

const OF_VEN: Column<TrackedReport>[] = [
  { label: "Due", cell: (r) => (r.due_at ? <When at={r.due_at} /> : "at no time"), sort: (r) => r.due_at },
  { label: "State", cell: (r) => <Badge tone={TONES[r.state]}>{words(r.state)}</Badge>, sort: (r) => r.state },
  {
    label: "Asked for",
    cell: (r) => <span className="clip">{r.payload_type ?? "nothing"}</span>,
    sort: (r) => r.payload_type,
  },
  { label: "Received", cell: (r) => <When at={r.received_at} />, sort: (r) => r.received_at },
  { label: "Report", cell: (r) => (r.report_id ? <code>{r.report_id}</code> : "–"), sort: (r) => r.report_id },
];

function ReportsOf({ ven, onClose }: { ven: OfVen; onClose: () => void }) {
  return (
    <Dialog title={<>Reports of {ven.ven_id}</>} onClose={onClose} wide>
      <Table
        caption={`Reports of ${ven.ven_id}`}
        columns={OF_VEN}
        rows={ven.reports}
        rowKey={(r) => `${r.descriptor} ${r.turn}`}
        pageSize={12}
      />
    </Dialog>
  );
}
