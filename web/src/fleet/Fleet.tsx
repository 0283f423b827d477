// The fleet: every home, whether it speaks, what it draws and could give up.
import { useState } from "react";
import type { Page, Presence, Ven } from "../api";
import { count, hundredths } from "../format";
import { useLoad } from "../load";
import { Empty, ProblemNote } from "../parts/Notes";
import { SearchBox } from "../parts/SearchBox";
import { Table, type Column } from "../parts/Table";
import { When } from "../parts/When";
import { usePlatform } from "../platform";
import { useSettled } from "../tick";
import { useChoice } from "../url";
import { VenDialog } from "./VenDialog";
import { VenState } from "./VenState";

const MOST = 1000;
const PRESENCES: readonly Presence[] = ["online", "late", "offline", "never"];

const COLUMNS: Column<Ven>[] = [
  { label: "VEN", cell: (v) => v.ven_id, sort: (v) => v.ven_id },
  { label: "Name", cell: (v) => <span className="clip">{v.name}</span>, sort: (v) => v.name },
  { label: "Site", cell: (v) => <span className="clip">{v.site_name}</span>, sort: (v) => v.site_name },
  { label: "State", cell: (v) => <VenState ven={v} />, sort: (v) => (v.shed ? 0 : PRESENCES.indexOf(v.presence) + 1) },
  { label: "Power kW", number: true, cell: (v) => hundredths(v.power_kw), sort: (v) => v.power_kw },
  { label: "Sheddable kW", number: true, cell: (v) => hundredths(v.sheddable_kw), sort: (v) => v.sheddable_kw },
  { label: "Last seen", cell: (v) => <When at={v.last_seen_at} />, sort: (v) => v.last_seen_at },
];

export function Fleet() {
  const [text, setText] = useState("");
  const sought = useSettled(text.trim(), 250);
  const [state, setState] = useChoice("state");
  const { data, problem, loading } = useLoad<Page<Ven>>("/v1/vens", {
    version: `${sought} ${state}`,
    everyMs: 5_000,
    query: () => ({ limit: MOST, q: sought, state }),
  });
  const registered = usePlatform((p) => p.power?.vens);
  const [open, setOpen] = useChoice("ven");

  return (
    <section className="panel" aria-labelledby="fleet-title">
      <div className="panel-head">
        <h2 id="fleet-title">
          Fleet <span className="quiet">{registered !== undefined && count(registered)}</span>
        </h2>
        <div className="segments text" role="group" aria-label="Which homes">
          {[null, ...PRESENCES].map((one) => (
            <button key={one} type="button" aria-pressed={one === state} onClick={() => setState(one)}>
              {one ?? "all"}
            </button>
          ))}
        </div>
        <SearchBox label="Search homes" value={text} onChange={setText} />
      </div>
      <ProblemNote problem={problem} />
      {data?.items.length === 0 && !sought && !state ? (
        <Empty title="No home is registered" command="tieline sim --homes 200">
          Register a device with <code>POST /v1/vens</code>, or a simulated fleet registers itself:
        </Empty>
      ) : (
        <Table
          caption="Homes"
          columns={COLUMNS}
          rows={data?.items ?? []}
          rowKey={(v) => v.ven_id}
          onOpen={(v) => setOpen(v.ven_id)}
          empty={loading ? "Loading…" : state ? `No such home is ${state}.` : "No home has this text in its id, name or site."}
        />
      )}
      {data?.next_cursor && <p className="quiet pad">The first {count(MOST)} homes; search to find the others.</p>}
      {open && <VenDialog venId={open} onClose={() => setOpen(null)} />}
    </section>
  );
}
