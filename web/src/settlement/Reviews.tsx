// What was said of a run or an account, and how to say it: approve, dispute, resolve. Asked once, plainly.
import { useState, type FormEvent } from "react";
import type { Review, Verdict } from "../api";
import { post, Problem } from "../client";
import { Badge, ProblemNote, type Tone } from "../parts/Notes";
import { Some } from "../parts/Some";
import { When } from "../parts/When";

const TONES: Record<Verdict, Tone> = { approved: "shed", disputed: "danger", resolved: "plain" };
const ASKS: Record<Verdict, { button: string; question: string; note: string }> = {
  approved: { button: "Approve", question: "Approve these amounts as they stand?", note: "Note, if any" },
  disputed: { button: "Dispute", question: "What is wrong? It is recorded and cannot be taken back.", note: "Reason" },
  resolved: { button: "Resolve", question: "How was the dispute resolved?", note: "How" },
};

interface Props {
  runId: string;
  venId: string; // empty: the whole run
  reviews: Review[]; // of all the run
  disputed?: string[]; // accounts, which a run's approval waits for
  onSaid: () => void;
}

export function Reviews({ runId, venId, reviews, disputed: open = [], onSaid }: Props) {
  const [asking, ask] = useState<Verdict | null>(null);
  const own = reviews.filter((one) => one.ven_id === venId);
  const disputed = own.findLast((one) => one.verdict !== "approved")?.verdict === "disputed";
  const done = () => {
    ask(null);
    onSaid();
  };
  return (
    <div className="reviews">
      {own.length > 0 && <Verdicts reviews={own} />}
      {asking === null && (
        <div className="table-tools">
          {own.length === 0 && <span className="quiet">Nobody has reviewed {venId ? "this account" : "this run"} yet.</span>}
          {open.length > 0 && (
            <span className="quiet">
              In dispute, to be resolved before it can be approved: <Some of={open} most={3} />
            </span>
          )}
          {(disputed ? (["resolved"] as const) : (["approved", "disputed"] as const)).map((verdict) => (
            <button key={verdict} type="button" className="button small" onClick={() => ask(verdict)}>
              {ASKS[verdict].button} {venId ? "the account" : "the run"}
            </button>
          ))}
        </div>
      )}
      {asking && <Ask verdict={asking} runId={runId} venId={venId} onDone={done} onNot={() => ask(null)} />}
    </div>
  );
}

function Verdicts({ reviews }: { reviews: Review[] }) {
  return (
    <ul className="verdicts">
      {reviews.map((one) => (
        <li key={`${one.at} ${one.verdict}`}>
          <Badge tone={TONES[one.verdict]}>{one.verdict}</Badge>{" "}
          <span className="quiet">
            by {one.by}, <When at={one.at} />
          </span>
          {one.note && <span className="wrap">{one.note}</span>}
        </li>
      ))}
    </ul>
  );
}

interface AskProps {
  verdict: Verdict;
  runId: string;
  venId: string;
  onDone: () => void;
  onNot: () => void;
}

function Ask({ verdict, runId, venId, onDone, onNot }: AskProps) {
  const [problem, setProblem] = useState<Problem | null>(null);
  const [busy, setBusy] = useState(false);
  const { button, question, note } = ASKS[verdict];
  const say = async (e: FormEvent<HTMLFormElement>) => {
    e.preventDefault();
    const form = new FormData(e.currentTarget);
    setBusy(true);
    try {
      await post(`/v1/settlements/${encodeURIComponent(runId)}/reviews`, { ven_id: venId, verdict, by: String(form.get("by")), note: String(form.get("note")) });
      onDone();
    } catch (error) {
      setProblem(error instanceof Problem ? error : new Problem(0, "Not said", String(error)));
      setBusy(false);
    }
  };
  return (
    <form className="form ask" onSubmit={(e) => void say(e)}>
      <p>{question}</p>
      <div className="form-row">
        <label>
          Your name
          <input name="by" required maxLength={200} autoFocus autoComplete="name" />
        </label>
        <label>
          {note}
          <input name="note" required={verdict !== "approved"} maxLength={2000} />
        </label>
      </div>
      <ProblemNote problem={problem} />
      <div className="form-end">
        <button type="button" className="button small" onClick={onNot}>
          Not now
        </button>
        <button className={`button small ${verdict === "disputed" ? "danger" : "primary"}`} disabled={busy}>
          {button}
        </button>
      </div>
    </form>
  );
}
