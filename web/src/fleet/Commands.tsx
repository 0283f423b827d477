// What an operator commands of one home, and what it answered.
import { useState, type FormEvent } from "react";
import type { DirectCommand, Page, VenWithResources } from "../api";
import { post, Problem } from "../client";
import { platformNow } from "../clock";
import { iso, words } from "../format";
import { useLoad } from "../load";
import { Badge, ProblemNote, type Tone } from "../parts/Notes";
import { Table, type Column } from "../parts/Table";
import { When } from "../parts/When";

const OPS = {
  ping: "Ask whether it is there",
  get: "Read its settings",
  shedLoad: "Shed a load",
  restore: "Give everything back",
} as const;
type Op = keyof typeof OPS;

const TONES: Record<string, Tone> = { accepted: "plain", sent: "target", unanswered: "danger" };

const COLUMNS: Column<DirectCommand>[] = [
  { label: "Issued", cell: (c) => <When at={c.issued_at} />, sort: (c) => c.issued_at },
  { label: "Command", cell: (c) => asked(c), sort: (c) => c.op },
  { label: "State", cell: (c) => <Badge tone={TONES[c.state] ?? "stale"}>{words(c.state)}</Badge>, sort: (c) => c.state },
  { label: "Answered", cell: (c) => <When at={c.answered_at} />, sort: (c) => c.answered_at },
  { label: "What it said", cell: (c) => <span className="wrap quiet">{said(c)}</span> },
];

export function Commands({ ven }: { ven: VenWithResources }) {
  const [sent, setSent] = useState(0);
  const { data, problem } = useLoad<Page<DirectCommand>>("/v1/commands", {
    version: sent,
    everyMs: 2_000,
    query: () => ({ ven_id: ven.ven_id, limit: 50 }),
  });
  return (
    <>
      <Send ven={ven} onSent={() => setSent(sent + 1)} />
      <ProblemNote problem={problem} />
      <Table
        caption={`Commands to ${ven.ven_id}`}
        columns={COLUMNS}
        rows={data?.items ?? []}
        rowKey={(c) => c.command_id}
        pageSize={5}
        empty={data ? "Nobody commanded it yet; what events ask of it stands in their ledger." : "Loading…"}
      />
    </>
  );
}

function Send({ ven, onSent }: { ven: VenWithResources; onSent: () => void }) {
  const loads = ven.resources.filter((r) => r.sheddable);
  const [op, setOp] = useState<Op>("ping");
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem | null>(null);
  const send = async (e: FormEvent<HTMLFormElement>) => {
    e.preventDefault();
    const form = new FormData(e.currentTarget);
    const until = platformNow() + Number(form.get("minutes")) * 60_000;
    const more = op === "shedLoad" ? { resource_id: String(form.get("load")), end_at: iso(until) } : {};
    setBusy(true);
    try {
      await post(`/v1/vens/${encodeURIComponent(ven.ven_id)}/commands`, { op, ...more });
      setProblem(null);
      onSent();
    } catch (error) {
      setProblem(error instanceof Problem ? error : new Problem(0, "Not sent", String(error)));
    }
    setBusy(false);
  };
  return (
    <form className="table-tools" aria-label="Command this home" onSubmit={(e) => void send(e)}>
      <select aria-label="Command" value={op} onChange={(e) => setOp(e.target.value as Op)}>
        {(Object.keys(OPS) as Op[])
          .filter((one) => one !== "shedLoad" || loads.length > 0)
          .map((one) => (
            <option key={one} value={one}>
              {OPS[one]}
            </option>
          ))}
      </select>
      {op === "shedLoad" && (
        <>
          <select name="load" aria-label="Load">
            {loads.map((load) => (
              <option key={load.resource_id} value={load.resource_id}>
                {load.name}
              </option>
            ))}
          </select>
          <label className="with-unit">
            for <input name="minutes" type="number" min={1} max={1440} step={1} defaultValue={15} required /> min
          </label>
        </>
      )}
      <button className="button small" disabled={busy}>
        {busy ? "Sending…" : "Send"}
      </button>
      <ProblemNote problem={problem} />
    </form>
  );
}

function asked(command: DirectCommand): string {
  const { resource_id, limit_kw } = command.request;
  return [command.op, resource_id, limit_kw === null || limit_kw === undefined ? null : `≤ ${limit_kw} kW`]
    .filter(Boolean)
    .join(" ");
}

function said(command: DirectCommand): string {
  const values = Object.entries(command.values ?? {}).map(([name, value]) => `${name} = ${String(value)}`);
  return [command.reason, ...values].filter(Boolean).join(", ");
}
