// The twins of one home: what is desired of each field, what the device reported, and where the two differ.
import { useState, type FormEvent } from "react";
import type { Json, Page, Twin, TwinLine } from "../api";
import { get, patch, Problem } from "../client";
import { useLoad } from "../load";
import { Badge, ProblemNote } from "../parts/Notes";
import { Table, type Column } from "../parts/Table";
import { When } from "../parts/When";

interface Field {
  path: string; // its place in the state, dotted
  desired: Json | undefined;
  reported: Json | undefined;
  differs: boolean;
  at: string | null; // when it was last written
}

const COLUMNS: Column<Field>[] = [
  { label: "Field", cell: (f) => <code>{f.path}</code>, sort: (f) => f.path },
  { label: "Desired", cell: (f) => shown(f.desired) },
  { label: "Reported", cell: (f) => shown(f.reported) },
  {
    label: "State",
    cell: (f) =>
      f.differs ? (
        <Badge tone="target">not yet reported</Badge>
      ) : (
        <Badge tone="plain">{f.desired === undefined ? "reported" : "as desired"}</Badge>
      ),
    sort: (f) => (f.differs ? 0 : 1),
  },
  { label: "Written", cell: (f) => <When at={f.at} />, sort: (f) => f.at },
];

export function Twins({ venId }: { venId: string }) {
  const path = `/v1/vens/${encodeURIComponent(venId)}/twins`;
  const { data, problem } = useLoad<Page<TwinLine>>(path, { everyMs: 5_000 });
  const [chosen, choose] = useState<string | null>(null);
  const names = data?.items.map((line) => line.name) ?? [];
  const name = chosen ?? names[0] ?? "classic";
  return (
    <>
      <ProblemNote problem={problem} />
      {names.length > 1 && (
        <div className="segments text" role="group" aria-label="Which twin">
          {names.map((one) => (
            <button key={one} type="button" aria-pressed={one === name} onClick={() => choose(one)}>
              {one}
            </button>
          ))}
        </div>
      )}
      {data && <TwinOf key={name} path={`${path}/${encodeURIComponent(name)}`} known={names.includes(name)} />}
    </>
  );
}

function TwinOf({ path, known }: { path: string; known: boolean }) {
  const [written, setWritten] = useState(0);
  const there = known || written > 0;
  const { data: twin, problem } = useLoad<Twin>(there ? path : null, { version: written, everyMs: 3_000 });
  return (
    <>
      <Write path={path} known={there} onWritten={() => setWritten(written + 1)} />
      <ProblemNote problem={problem} />
      {twin && (
        <p className="quiet">
          Version {twin.version}, <When at={twin.at} />
        </p>
      )}
      <Table
        caption="Fields of the twin"
        columns={COLUMNS}
        rows={twin ? fields(twin) : []}
        rowKey={(f) => f.path}
        empty={there && !twin ? "Loading…" : "Nothing is desired, and the device reported nothing yet."}
      />
    </>
  );
}

/** One field at a time, and only if nobody else writes the twin at that moment. */
function Write({ path, known, onWritten }: { path: string; known: boolean; onWritten: () => void }) {
  const [problem, setProblem] = useState<Problem | null>(null);
  const write = async (e: FormEvent<HTMLFormElement>) => {
    e.preventDefault();
    const form = new FormData(e.currentTarget);
    const desired = nested(String(form.get("field")).trim().split("."), read(String(form.get("value"))));
    try {
      await patch<Twin>(path, { desired, version: known ? await versionNow(path) : 0 });
      setProblem(null);
      onWritten();
    } catch (error) {
      setProblem(error instanceof Problem ? error : new Problem(0, "Not written", String(error)));
    }
  };
  return (
    <form className="table-tools" aria-label="Desire a value" onSubmit={(e) => void write(e)}>
      <label className="with-unit">
        Desire <input name="field" required placeholder="setpoint_c" aria-label="Field" />
      </label>
      <label className="with-unit">
        = <input name="value" required placeholder="21.5" aria-label="Value, as JSON; null takes the field away" />
      </label>
      <button className="button small">Write</button>
      <ProblemNote problem={problem} />
    </form>
  );
}

/** Not the one that is shown: the device reports meanwhile. */
const versionNow = async (path: string): Promise<number> => (await get<Twin>(path)).version;

/** JSON where it is JSON, else a text. */
function read(text: string): Json {
  try {
    return JSON.parse(text) as Json;
  } catch {
    return text;
  }
}

function nested(path: string[], value: Json): Json {
  return path.reduceRight<Json>((inner, name) => ({ [name]: inner }), value);
}

function fields(twin: Twin): Field[] {
  const [desired, reported, differing] = [leaves(twin.desired), leaves(twin.reported), leaves(twin.delta)];
  const [desiredAt, reportedAt] = [leaves(twin.metadata.desired ?? {}), leaves(twin.metadata.reported ?? {})];
  const paths = [...new Set([...desired.keys(), ...reported.keys()])].sort();
  return paths.map((path) => {
    const stamps = [desiredAt.get(path), reportedAt.get(path)].filter((at) => typeof at === "string").sort();
    return {
      path,
      desired: desired.get(path),
      reported: reported.get(path),
      differs: differing.has(path),
      at: stamps.at(-1) ?? null,
    };
  });
}

function leaves(state: Json, path = ""): Map<string, Json> {
  if (state === null || typeof state !== "object" || Array.isArray(state)) return new Map([[path, state]]);
  const inner = Object.entries(state).map(([name, value]) => leaves(value, path ? `${path}.${name}` : name));
  return new Map(inner.flatMap((one) => [...one]));
}

const shown = (value: Json | undefined) => (value === undefined ? "–" : <code>{JSON.stringify(value)}</code>);
