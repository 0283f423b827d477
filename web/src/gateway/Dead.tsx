// Deliveries that were given up: to whom, why, and the way to try them again.
import { useRef, useState } from "react";
import type { DeadDelivery, Page } from "../api";
import { post, Problem } from "../client";
import { count } from "../format";
import { useLoad } from "../load";
import { Ago } from "../parts/Ago";
import { ProblemNote } from "../parts/Notes";
import { Table, type Column } from "../parts/Table";
import { CallbackUrl } from "./CallbackUrl";

const MOST = 1000; // as many as /v1 gives at once
const EVERY_MS = 5_000;

export function Dead() {
  const [asked, setAsked] = useState(0);
  const path = `/v1/webhooks/dead?limit=${MOST}`;
  const { data, problem: unread } = useLoad<Page<DeadDelivery>>(path, { version: asked, everyMs: EVERY_MS });
  const [problem, setProblem] = useState<Problem | null>(null);
  const [busy, setBusy] = useState("");
  const [said, say] = useState("");
  const note = useRef<HTMLParagraphElement>(null);

  const retry = async (delivery: DeadDelivery) => {
    setBusy(delivery.delivery_id);
    setProblem(null);
    note.current?.focus(); // the button goes with its row
    try {
      await post(`/v1/webhooks/dead/${encodeURIComponent(delivery.delivery_id)}/replay`);
      say(`Trying delivery ${delivery.delivery_id.slice(0, 8)} again.`);
    } catch (error) {
      setProblem(error instanceof Problem ? error : new Problem(0, "Not sent", String(error)));
    }
    setBusy("");
    setAsked((n) => n + 1);
  };

  const dead = [...(data?.items ?? [])].reverse(); // the last one first
  if (dead.length === 0 && !said && !problem && !unread) return null;
  return (
    <>
      <h3 className="sub">
        Deliveries given up <span className="quiet">{count(dead.length)}</span>
      </h3>
      <p className="quiet note" role="status" tabIndex={-1} ref={note}>
        {said || "Kept for 30 days. When the receiver is well again, try them again."}
        {data?.next_cursor && ` These are the ${count(MOST)} longest dead.`}
      </p>
      <ProblemNote problem={problem ?? unread} />
      <div className="acts">
        <Table
          caption="Deliveries given up"
          columns={columns(busy, (delivery) => void retry(delivery))}
          rows={dead}
          rowKey={(d) => d.delivery_id}
          pageSize={5}
          empty="None is left."
        />
      </div>
    </>
  );
}

function columns(busy: string, retry: (delivery: DeadDelivery) => void): Column<DeadDelivery>[] {
  return [
    { label: "Given up", cell: (d) => <Ago at={d.dead_at} />, sort: (d) => d.dead_at },
    { label: "Endpoint", cell: (d) => <CallbackUrl url={d.callback_url} />, sort: (d) => d.callback_url },
    { label: "About", cell: (d) => <code>{d.object_id}</code>, sort: (d) => d.object_id },
    { label: "Attempts", number: true, cell: (d) => count(d.attempts), sort: (d) => d.attempts },
    { label: "Why", cell: (d) => <span className="wrap">{d.reason ?? "–"}</span>, sort: (d) => d.reason },
    {
      label: "Again",
      cell: (d) => (
        <button
          type="button"
          className="button small"
          disabled={busy === d.delivery_id}
          aria-label={`Try again: delivery about ${d.object_id}`}
          onClick={() => retry(d)}
        >
          Try again
        </button>
      ),
    },
  ];
}
