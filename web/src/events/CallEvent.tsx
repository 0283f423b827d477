// The dialog that calls an event. What the API refuses is shown as the API says it.
import { useState, type FormEvent } from "react";
import type { EventDraft, GridEvent, Headroom, Page, Program } from "../api";
import { post, Problem } from "../client";
import { clockSpeed, platformNow } from "../clock";
import { duration, iso, kw, span } from "../format";
import { useLoad } from "../load";
import { Dialog } from "../parts/Dialog";
import { ProblemNote } from "../parts/Notes";
import { useZone } from "../parts/When";
import { putEvents, usePlatform } from "../platform";
import { useTick } from "../tick";
import { setChoice } from "../url";

const SENDING_MS = 1_000;
const FIRST_PROGRAM = "demand-response";

export function CallEvent({ onClose }: { onClose: () => void }) {
  const programs = useLoad<Page<Program>>("/v1/programs?limit=1000");
  const free = usePlatform((p) => p.power?.controllable_kw ?? null);
  const [proposed, propose] = useState<string | null>(null);
  if (proposed === null && free !== null) propose(String(Number((free / 2).toPrecision(2)))); // once: it must not move under the hand
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem | null>(null);
  const [minutes, setMinutes] = useState({ wait: 5, last: 30 });
  const none = programs.data?.items.length === 0;

  const call = async (e: FormEvent<HTMLFormElement>) => {
    e.preventDefault();
    const form = new FormData(e.currentTarget);
    const program_id = String(form.get("program")).trim();
    setBusy(true);
    try {
      if (none) await post("/v1/programs", { program_id, name: program_id });
      const wait = Math.max(minutes.wait * 60_000, SENDING_MS * clockSpeed()); // the past is refused
      const start = Math.ceil((platformNow() + wait) / 60_000) * 60_000;
      const draft: EventDraft = {
        program_id,
        start_at: iso(start),
        end_at: iso(start + minutes.last * 60_000),
        target_kw: Number(form.get("target")),
      };
      const event = await post<GridEvent>("/v1/events", draft);
      putEvents([event]);
      setChoice("event", event.event_id);
      onClose();
    } catch (error) {
      setProblem(error instanceof Problem ? error : new Problem(0, "Not sent", String(error)));
      setBusy(false);
    }
  };

  return (
    <Dialog title="Call an event" onClose={onClose}>
      <form className="form" onSubmit={(e) => void call(e)}>
        <label>
          Program
          {none ? (
            <input
              name="program"
              defaultValue={FIRST_PROGRAM}
              required
              pattern="[A-Za-z0-9_\-]{1,64}"
              title="1 to 64 of A-Z a-z 0-9 _ -"
            />
          ) : (
            <select name="program" required disabled={programs.data === null}>
              {programs.data?.items.map((p) => (
                <option key={p.program_id} value={p.program_id}>
                  {p.name}
                </option>
              ))}
            </select>
          )}
          {none && <small>The first program: it will be made with this name.</small>}
        </label>
        <div className="form-row">
          <Minutes
            label="Starts in"
            value={minutes.wait}
            least={0}
            onChange={(wait) => setMinutes({ ...minutes, wait })}
          />
          <Minutes label="Lasts" value={minutes.last} least={1} onChange={(last) => setMinutes({ ...minutes, last })} />
        </div>
        <Preview {...minutes} />
        <label>
          Target
          <span className="with-unit">
            <input
              name="target"
              type="number"
              inputMode="decimal"
              min="0.1"
              step="any"
              value={proposed ?? ""}
              onChange={(e) => propose(e.target.value)}
              required
            />{" "}
            <span>kW less than the baseline</span>
          </span>
          <small>
            {free === null
              ? "What is controllable now is not known."
              : `${kw(free)} is controllable now; half of it is proposed.`}
          </small>
        </label>
        <Expected {...minutes} target={Number(proposed)} />
        <ProblemNote problem={problem ?? programs.problem} />
        <div className="form-end">
          <button type="button" className="button" onClick={onClose}>
            Not now
          </button>
          <button className="button primary" disabled={busy || programs.data === null}>
            {busy ? "Calling…" : "Call event"}
          </button>
        </div>
      </form>
    </Dialog>
  );
}

/** What the forecast says of the event's time: what could be given up, and what surely. */
function Expected({ wait, last, target }: { wait: number; last: number; target: number }) {
  const [asked, ask] = useState({ wait: 0, last: 0, at: 0 });
  if (!Object.is(asked.wait, wait) || !Object.is(asked.last, last)) ask({ wait, last, at: platformNow() });
  const known = asked.last > 0 && asked.wait >= 0; // neither of NaN
  const from = asked.at + asked.wait * 60_000;
  const path = `/v1/forecasts/headroom?start=${iso(from)}&end=${iso(from + asked.last * 60_000)}`;
  const { data } = useLoad<Headroom>(known ? path : null);
  const [expected, sure] = [least(data?.expected_kw), least(data?.sure_kw)];
  if (expected === null || sure === null) return null;
  return (
    <p className="quiet" role="status">
      Forecast for then: {kw(expected)} could be given up, {kw(sure)} surely (19 times in 20).
      {target > sure && <b> The target may not be held throughout.</b>}
    </p>
  );
}

function least(of: (number | null)[] | undefined): number | null {
  const known = (of ?? []).filter((one) => one !== null);
  return known.length ? Math.min(...known) : null;
}

function Minutes({
  label,
  value,
  least,
  onChange,
}: {
  label: string;
  value: number;
  least: number;
  onChange: (value: number) => void;
}) {
  return (
    <label>
      {label}
      <span className="with-unit">
        <input
          type="number"
          inputMode="numeric"
          min={least}
          step="1"
          required
          value={Number.isNaN(value) ? "" : value}
          onChange={(e) => onChange(e.target.valueAsNumber)}
        />{" "}
        <span>min</span>
      </span>
    </label>
  );
}

function Preview({ wait, last }: { wait: number; last: number }) {
  useTick();
  const zone = useZone();
  const [now, speed] = [platformNow(), clockSpeed()];
  if (Number.isNaN(wait) || Number.isNaN(last)) return null;
  return (
    <p className="quiet preview">
      {span(now + wait * 60_000, now + (wait + last) * 60_000, now, zone)}, platform time
      {speed !== 1 &&
        ` ×${speed}: begins in ${duration((wait * 60) / speed)} and lasts ${duration((last * 60) / speed)} of your time`}
    </p>
  );
}
