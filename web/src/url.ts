// What is chosen on the page lives in its address, so that a view can be sent to a colleague.
import { useCallback, useSyncExternalStore } from "react";

const CHANGED = "tieline-address";

function subscribe(reader: () => void): () => void {
  window.addEventListener("popstate", reader);
  window.addEventListener(CHANGED, reader);
  return () => {
    window.removeEventListener("popstate", reader);
    window.removeEventListener(CHANGED, reader);
  };
}

export function setChoice(name: string, value: string | null): void {
  const address = new URL(window.location.href);
  if (value === null) address.searchParams.delete(name);
  else address.searchParams.set(name, value);
  window.history.replaceState(null, "", address);
  window.dispatchEvent(new Event(CHANGED));
}

/** One query parameter of the page's address, and how to choose another value; null takes it away. */
export function useChoice(name: string): [string | null, (value: string | null) => void] {
  const value = useSyncExternalStore(subscribe, () => new URLSearchParams(window.location.search).get(name));
  return [value, useCallback((next: string | null) => setChoice(name, next), [name])];
}
