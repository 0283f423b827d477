// A run's or an account's documents: PDF to read, CSV to reckon with, JSON to keep, each with its signature.
import { useState } from "react";
import { Problem, saveFile } from "../client";
import { Icon } from "../parts/Icon";
import { ProblemNote } from "../parts/Notes";

const FORMS = ["pdf", "csv", "json"] as const;

/** `of`: a VEN, or all. */
export function Downloads({ runId, of }: { runId: string; of: string }) {
  const [problem, setProblem] = useState<Problem | null>(null);
  const [busy, setBusy] = useState("");
  const fetchFile = async (form: string) => {
    setBusy(form);
    const path = `/v1/settlements/${encodeURIComponent(runId)}/documents/${encodeURIComponent(of)}.${form}`;
    const name = of === "all" ? `${runId}.${form}` : `${runId}-${of}.${form}`;
    try {
      await saveFile(path, name);
      await saveFile(`${path}.jws`, `${name}.jws`);
      setProblem(null);
    } catch (error) {
      setProblem(error instanceof Problem ? error : new Problem(0, "Not saved", String(error)));
    }
    setBusy("");
  };
  return (
    <>
      <div className="buttons" role="group" aria-label="Documents, each with its signature">
        {FORMS.map((form) => (
          <button
            key={form}
            type="button"
            className="button small"
            disabled={busy !== ""}
            title={`${form.toUpperCase()} and its signature (.jws)`}
            onClick={() => void fetchFile(form)}
          >
            <Icon name="save" />
            {form.toUpperCase()}
          </button>
        ))}
      </div>
      <ProblemNote problem={problem} />
    </>
  );
}
