// The terms that were in force in a run's period, as sentences.
import type { Page, ProgramTerms, RunSummary } from "../api";
import { words } from "../format";
import { useLoad } from "../load";
import { Fact } from "../parts/Fact";
import { Empty, ProblemNote } from "../parts/Notes";
import { decimal, money, share } from "./money";

export function Terms({ run }: { run: RunSummary }) {
  const path = `/v1/programs/${encodeURIComponent(run.program_id)}/terms`;
  const { data, problem } = useLoad<Page<ProgramTerms>>(path);
  const held = data?.items.find((t) => t.valid_from <= run.from_day && (!t.valid_until || t.valid_until > run.from_day));
  if (problem) return <ProblemNote problem={problem} />;
  if (!data) return <p className="quiet pad">Loading…</p>;
  if (!held) return <Empty title="No terms held on that day" />;
  return (
    <>
      <p className="quiet pad">
        Terms {held.number} of {held.program_id}, from {held.valid_from}
        {held.valid_until ? ` until ${held.valid_until}` : " on"}
        {data.items.length > 1 && `; there are ${data.items.length} in all`}.
      </p>
      <dl className="facts terms">
        {facts(held).map(([name, said]) => (
          <Fact key={name} name={name}>
            {said}
          </Fact>
        ))}
      </dl>
    </>
  );
}

function facts(t: ProgramTerms): [string, string][] {
  const found: [string, string][] = [
    ["Baseline", t.baseline],
    ["Energy", energy(t)],
    ["Netted over", t.netting],
    ["What is fed in", t.export === "net" ? "counts" : "is ignored"],
    ["Gaps", `above ${share(t.most_gap)} of an event it is not settled`],
    ["Rounding", `${words(t.rounding.replace("ROUND_", "").toLowerCase())}, to ${t.places} places`],
  ];
  if (t.capacity) found.push(["Capacity", capacity(t)]);
  if (t.penalty)
    found.push(["Penalty", `${money(t.penalty.price_per_kwh, t.currency)} per kWh short by over ${share(t.penalty.tolerance)}`]);
  if (t.cap) found.push(["At most", money(t.cap, t.currency)]);
  if (t.floor) found.push(["At least", money(t.floor, t.currency)]);
  if (t.tax) found.push([t.tax.name, share(t.tax.rate)]);
  return found;
}

function energy({ energy: e, currency }: ProgramTerms): string {
  if (e.type === "fixed") return `${money(e.price_per_kwh, currency)} per kWh`;
  const bounds = [e.least_per_mwh && `at least ${decimal(e.least_per_mwh)}`, e.most_per_mwh && `at most ${decimal(e.most_per_mwh)}`];
  return [`${share(e.share)} of ${e.series_id} per MWh`, ...bounds.filter(Boolean)].join(", ");
}

function capacity({ capacity: c, currency }: ProgramTerms): string {
  if (!c) return "";
  const steps = c.steps.map((s) => `${share(s.factor)} from ${share(s.delivered)} delivered`).join(", ");
  return `${money(c.price_per_kw_month, currency)} per kW and month, ${steps || "times what was delivered of what was asked"}`;
}
