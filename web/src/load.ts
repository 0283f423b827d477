// Loading a /v1 path into a component: again when its version changes, and every so often.
import { useEffect, useRef, useState } from "react";
import { get, Problem, withQuery, type Query } from "./client";
import { isLive, useReopened } from "./platform";

export interface Loaded<T> {
  data: T | null;
  problem: Problem | null;
  loading: boolean;
}

interface How {
  version?: unknown;
  everyMs?: number;
  query?: () => Query; // reckoned anew for each request
}

/** What `path` answers. Another path forgets the old answer; another version, or a new link, only renews it. */
export function useLoad<T>(path: string | null, { version, everyMs = 0, query }: How = {}): Loaded<T> {
  const asked = useRef(query);
  useEffect(() => {
    asked.current = query;
  });
  const [answer, setAnswer] = useState<{ path: string; data: T | null; problem: Problem | null } | null>(null);
  const reopened = useReopened();

  useEffect(() => {
    if (path === null) return;
    const stop = new AbortController();
    let timer = 0;
    let first = true;
    const load = async () => {
      try {
        if (first || (document.visibilityState === "visible" && isLive())) {
          first = false;
          const data = await get<T>(withQuery(path, asked.current?.() ?? {}), stop.signal);
          if (stop.signal.aborted) return;
          setAnswer({ path, data, problem: null });
        }
      } catch (error) {
        if (stop.signal.aborted) return;
        const problem = error instanceof Problem ? error : new Problem(0, "No answer", String(error));
        setAnswer((old) => ({ path, data: old?.path === path && problem.status !== 404 ? old.data : null, problem }));
      }
      if (everyMs > 0) timer = window.setTimeout(() => void load(), everyMs);
    };
    void load();
    return () => {
      stop.abort();
      clearTimeout(timer);
    };
  }, [path, version, everyMs, reopened]);

  const mine = answer?.path === path ? answer : null;
  return { data: mine?.data ?? null, problem: mine?.problem ?? null, loading: path !== null && mine === null };
}
