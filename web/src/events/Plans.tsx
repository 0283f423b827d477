// Why each load was called, or not: the plans of an event, and the reasons of one of them.
import { useState } from "react";
import type { GridEvent, Plan, PlanShown, Why } from "../api";
import { count, hundredths, kw, seconds, words } from "../format";
import { useLoad } from "../load";
import { Badge, ProblemNote } from "../parts/Notes";
import { SearchBox } from "../parts/SearchBox";
import { Table, type Column } from "../parts/Table";
import { useZone } from "../parts/When";

const MOST = 1000;

const COLUMNS: Column<Why>[] = [
  { label: "VEN", cell: (w) => w.ven_id, sort: (w) => w.ven_id },
  { label: "Load", cell: (w) => w.resource_id, sort: (w) => w.resource_id },
  {
    label: "Called",
    cell: (w) => (w.chosen ? <Badge tone="shed">called</Badge> : <Badge tone="plain">{w.reason === "eligible" ? "not needed" : words(w.reason)}</Badge>),
    sort: (w) => (w.chosen ? 0 : 1),
  },
  { label: "Could give kW", number: true, cell: (w) => hundredths(w.kw), sort: (w) => w.kw },
  { label: "Rank", number: true, cell: (w) => (w.rank ? w.rank : "–"), sort: (w) => w.rank || null, hint: "The cheapest per kW first" },
  { label: "Why", cell: (w) => <span className="wrap quiet">{w.said}</span> },
];

export function Plans({ event }: { event: GridEvent }) {
  const zone = useZone();
  const [chosen, choose] = useState<number | null>(null);
  const [text, setText] = useState("");
  const path = `/v1/events/${encodeURIComponent(event.event_id)}/plan`;
  const { data, problem, loading } = useLoad<PlanShown>(path, {
    version: `${chosen} ${event.state}`,
    everyMs: event.state === "active" ? 5_000 : 0,
    query: () => ({ limit: MOST, plan_id: chosen }),
  });
  const rows = (data?.items ?? [])
    .filter((w) => `${w.ven_id} ${w.resource_id} ${w.said}`.toLowerCase().includes(text.toLowerCase()))
    .sort((a, b) => Number(b.chosen) - Number(a.chosen) || (a.rank || Infinity) - (b.rank || Infinity));
  const plan = data?.plans.find((one) => one.plan_id === data.plan_id);
  return (
    <>
      <ProblemNote problem={problem} />
      <div className="table-tools">
        {data && data.plans.length > 0 && (
          <select aria-label="Which plan" value={data.plan_id ?? ""} onChange={(e) => choose(Number(e.target.value))}>
            {data.plans.map((one) => (
              <option key={one.plan_id} value={one.plan_id}>
                {seconds(Date.parse(one.at), zone)}: {count(one.called)} called, {count(one.released)} given back
              </option>
            ))}
          </select>
        )}
        <SearchBox label="Search VEN, load or reason" value={text} onChange={setText} />
        {data?.next_cursor && <span className="quiet">The first 1,000 loads.</span>}
      </div>
      {plan && <p className="quiet pad">{told(plan)}</p>}
      <Table
        caption="Why each load was called or not"
        columns={COLUMNS}
        rows={rows}
        rowKey={(w) => `${w.ven_id} ${w.resource_id}`}
        empty={loading ? "Loading…" : text ? "No load has this text." : "No plan yet: it is made shortly before the start."}
      />
    </>
  );
}

function told(plan: Plan): string {
  const asked = `Asked ${kw(plan.target_kw)}; ${kw(plan.expected_kw)} was expected without it`;
  const back = plan.released > 0 ? `; ${count(plan.released)} loads given back` : "";
  const called = plan.called > 0 ? `; ${count(plan.called)} loads called for ${kw(plan.called_kw)}, ${how(plan)}` : "";
  return `${asked}${called}${back}. ${kw(plan.headroom_kw)} could be called.`;
}

function how(plan: Plan): string {
  if (plan.method === "all") return "all that may be called";
  return `at most ${(plan.gap * 100).toFixed(3)} % dearer than the cheapest there is`;
}
