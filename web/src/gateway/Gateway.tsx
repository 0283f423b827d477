// The OpenADR gateway: where clients connect, what there is for them, and what they could not be told.
import type { ReactNode } from "react";
import type { Gateway as Told } from "../api";
import { count } from "../format";
import { useLoad } from "../load";
import { Ago } from "../parts/Ago";
import { Fact } from "../parts/Fact";
import { Badge, Command, Copy, ProblemNote } from "../parts/Notes";
import { Broken } from "./Broken";
import { Dead } from "./Dead";

const EVERY_MS = 3_000;

export function Gateway() {
  const { data, problem } = useLoad<Told>("/v1/openadr", { everyMs: EVERY_MS });
  if (problem?.status === 404) return null; // this platform runs without a gateway
  const empty = data?.clients === 0;
  return (
    <section className="panel" aria-labelledby="gateway-title">
      <div className="panel-head">
        <h2 id="gateway-title">OpenADR {data && !empty && <Webhooks told={data} />}</h2>
        {data?.development && (
          <span className="simulated" title="Webhooks may go to private addresses, and without a challenge">
            Development
          </span>
        )}
      </div>
      <ProblemNote problem={problem} />
      {data && (
        <div className="gateway">
          <Addresses urls={data.urls} />
          {empty ? <FirstClient /> : <Counts told={data} />}
        </div>
      )}
      {data && data.broken.length > 0 && <Broken endpoints={data.broken} />}
      {data && !empty && <Dead />}
    </section>
  );
}

function Addresses({ urls }: { urls: Told["urls"] }) {
  return (
    <dl className="addresses">
      {Object.entries(urls).map(([version, url]) => (
        <div key={version}>
          <dt>{version}</dt>
          <dd className="command">
            <code>{url}</code>
            <Copy text={url} label={`Copy the base URL of OpenADR ${version}`} />
          </dd>
        </div>
      ))}
    </dl>
  );
}

function Counts({ told }: { told: Told }) {
  const { programs, events, vens, resources, reports, subscriptions } = told.counts;
  return (
    <dl className="facts gateway-counts">
      <Fact name="Clients">{told.clients === null ? "another issuer’s" : count(told.clients)}</Fact>
      <Fact name="Programs">{count(programs)}</Fact>
      <Fact name="Events">{count(events)}</Fact>
      <Fact name="VENs">{count(vens)}</Fact>
      <Fact name="Resources">{count(resources)}</Fact>
      <Fact name="Reports">{count(reports)}</Fact>
      <Fact name="Subscriptions">{count(subscriptions)}</Fact>
      <Fact name="Webhooks waiting">
        {count(told.webhooks.waiting)}
        {told.webhooks.oldest_at && (
          <span className="quiet">
            , the oldest from <Ago at={told.webhooks.oldest_at} />
          </span>
        )}
      </Fact>
    </dl>
  );
}

function Webhooks({ told }: { told: Told }): ReactNode {
  const { broken, waiting } = told.webhooks;
  if (broken > 0)
    return (
      <Badge tone="danger">
        {count(broken)} broken {broken === 1 ? "endpoint" : "endpoints"}
      </Badge>
    );
  return waiting > 0 && <Badge tone="target">delivering</Badge>;
}

function FirstClient() {
  return (
    <div className="first-client">
      <h3>No client yet</h3>
      <p className="quiet">
        OpenADR clients show an id and a secret. Let the first one in; its secret is printed once. A VEN is added with{" "}
        <code>--role ven</code>.
      </p>
      <Command text={'tieline client add "Our desk" --role bl'} />
    </div>
  );
}
