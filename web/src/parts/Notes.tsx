// Small things said to the reader: a state, a problem of the API as it is, an empty place that teaches the next step.
import { useState, type ReactNode } from "react";
import type { Problem } from "../client";
import { Icon } from "./Icon";

export type Tone = "used" | "shed" | "stale" | "danger" | "target" | "plain";

export function Badge({ tone, children }: { tone: Tone; children: ReactNode }) {
  return (
    <span className={`badge ${tone}`}>
      <i aria-hidden="true" />
      {children}
    </span>
  );
}

export function ProblemNote({ problem }: { problem: Problem | null }) {
  if (problem === null) return null;
  return (
    <p className="problem" role="alert">
      <strong>
        {problem.title}
        {problem.status > 0 && ` (${problem.status})`}
      </strong>{" "}
      {problem.message}
    </p>
  );
}

export function Empty({ title, children, command }: { title: string; children?: ReactNode; command?: string }) {
  return (
    <div className="empty">
      <h3>{title}</h3>
      {children && <p>{children}</p>}
      {command && <Command text={command} />}
    </div>
  );
}

export function Command({ text }: { text: string }) {
  return (
    <span className="command">
      <code>{text}</code>
      <Copy text={text} label="Copy the command" />
    </span>
  );
}

/** Copies a text and says so for a moment. */
export function Copy({
  text,
  label,
  children,
}: {
  text: string | (() => string);
  label: string;
  children?: ReactNode;
}) {
  const [done, setDone] = useState(false);
  const copy = async () => {
    const what = typeof text === "string" ? text : text();
    try {
      await navigator.clipboard.writeText(what);
      setDone(true);
      setTimeout(() => setDone(false), 1500);
    } catch {
      window.prompt(label, what); // no clipboard outside secure contexts
    }
  };
  return (
    <button
      type="button"
      className={children ? "button small" : "icon-button"}
      title={label}
      aria-label={children ? undefined : label}
      onClick={() => void copy()}
    >
      <Icon name={done ? "check" : children ? "code" : "copy"} />
      <span className={children ? "" : "unseen"} aria-live="polite">
        {done ? "Copied" : children}
      </span>
    </button>
  );
}
