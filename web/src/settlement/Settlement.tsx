// Settlement: the runs by program and period, and the one that is looked at.
import { useState } from "react";
import type { Page, RunSummary } from "../api";
import { useProgramNames } from "../events/programs";
import { count } from "../format";
import { useLoad } from "../load";
import { Empty, ProblemNote } from "../parts/Notes";
import { Table, type Column } from "../parts/Table";
import { When } from "../parts/When";
import { useChoice } from "../url";
import { decimal, money } from "./money";
import { period } from "./period";
import { RunDetail } from "./RunDetail";

const MOST = 200;

export function Settlement() {
  const [program, choose] = useState("");
  const [runId, setRun] = useChoice("run");
  const { data, problem } = useLoad<Page<RunSummary>>("/v1/settlements", {
    version: program,
    everyMs: 15_000,
    query: () => ({ program_id: program, limit: MOST }),
  });
  const programs = useProgramNames();
  const name = (run: RunSummary) => programs.get(run.program_id) ?? run.program_id;
  const shown = data?.items.find((run) => run.run_id === runId) ?? (runId ? null : data?.items[0]);

  return (
    <section className="panel" aria-labelledby="settlement-title">
      <div className="panel-head">
        <h2 id="settlement-title">Settlement</h2>
        {programs.size > 1 && (
          <select aria-label="Program" value={program} onChange={(e) => choose(e.target.value)}>
            <option value="">All programs</option>
            {[...programs].map(([id, said]) => (
              <option key={id} value={id}>
                {said}
              </option>
            ))}
          </select>
        )}
      </div>
      <ProblemNote problem={problem} />
      {data?.items.length === 0 ? (
        <Empty title="No settlement run yet" command="tieline settlement run PROGRAM --from DAY --until DAY">
          A run says what each participant of a program is owed for a period, clause by clause, from the statements of its
          events and the program’s terms:
        </Empty>
      ) : (
        <Table
          caption="Settlement runs"
          columns={columns(name)}
          rows={data?.items ?? []}
          rowKey={(run) => run.run_id}
          rowClass={(run) => (run.run_id === shown?.run_id ? "chosen" : "")}
          onOpen={(run) => setRun(run.run_id)}
          pageSize={5}
          empty="Loading…"
        />
      )}
      {data?.next_cursor && <p className="quiet pad">The newest {count(MOST)} runs.</p>}
      {shown && <RunDetail key={shown.run_id} run={shown} />}
    </section>
  );
}

function columns(name: (run: RunSummary) => string): Column<RunSummary>[] {
  return [
    { label: "Period", cell: period, sort: (r) => r.from_day },
    { label: "Program", cell: name, sort: name },
    { label: "Run", cell: (r) => (r.number > 1 ? `${r.number}, restated` : r.number), sort: (r) => r.number },
    { label: "Participants", number: true, cell: (r) => count(r.participants), sort: (r) => r.participants },
    { label: "Events", number: true, cell: (r) => count(r.events), sort: (r) => r.events },
    {
      label: "Delivered kWh",
      number: true,
      cell: (r) => decimal(r.delivered_kwh),
      sort: (r) => Number(r.delivered_kwh),
    },
    { label: "Total", number: true, cell: (r) => <b>{money(r.total, r.currency)}</b>, sort: (r) => Number(r.total) },
    { label: "Known at", cell: (r) => <When at={r.known_at} />, sort: (r) => r.known_at },
  ];
}
