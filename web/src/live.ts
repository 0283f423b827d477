// The live stream: server-sent events read with `fetch`, resumed by Last-Event-ID, with back-off and a watchdog.
import { createParser } from "eventsource-parser";
import { authorized } from "./client";

const SILENCE_MS = 10_000; // the platform speaks about every second
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 15_000;

export interface Listener {
  opened(): void;
  said(kind: string, data: string): void;
  failed(attempt: number): void;
}

/** Follows the stream until the returned function is called. */
export function follow(path: string, listener: Listener): () => void {
  const stop = new AbortController();
  void run(path, listener, stop.signal);
  return () => stop.abort();
}

async function run(path: string, listener: Listener, stop: AbortSignal): Promise<void> {
  let lastId = "";
  let attempt = 0;
  while (!stop.aborted) {
    try {
      await read(path, lastId, stop, {
        opened: () => listener.opened(),
        said: (kind, data, id) => {
          attempt = 0;
          if (id) lastId = id;
          listener.said(kind, data);
        },
      });
    } catch {
      // why it broke does not matter: it is opened again, and what was missed comes by its id
    }
    if (stop.aborted) return;
    listener.failed(++attempt);
    await pause(Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** (attempt - 1)) * (0.75 + Math.random() / 2), stop);
  }
}

interface Reader {
  opened(): void;
  said(kind: string, data: string, id: string): void;
}

async function read(path: string, lastId: string, stop: AbortSignal, reader: Reader): Promise<void> {
  const silence = new AbortController();
  let timer = setTimeout(() => silence.abort(), SILENCE_MS);
  const headers: Record<string, string> = { Accept: "text/event-stream" };
  if (lastId) headers["Last-Event-ID"] = lastId;
  try {
    const signal = AbortSignal.any([stop, silence.signal]);
    const response = await authorized(path, { headers, signal, cache: "no-store" });
    if (!response.ok || !response.body) throw new Error(`HTTP ${response.status}`);
    reader.opened();
    const parser = createParser({ onEvent: (e) => reader.said(e.event ?? "message", e.data, e.id ?? "") });
    const bytes = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { done, value } = await bytes.read();
      if (done) return;
      clearTimeout(timer);
      timer = setTimeout(() => silence.abort(), SILENCE_MS);
      parser.feed(value);
    }
  } finally {
    clearTimeout(timer);
    silence.abort();
  }
}

/** Waits; less when the network or the page comes back. */
function pause(ms: number, stop: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const sources: [EventTarget, string][] = [
      [window, "online"],
      [document, "visibilitychange"],
      [stop, "abort"],
    ];
    const done = () => {
      clearTimeout(timer);
      for (const [target, name] of sources) target.removeEventListener(name, done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    for (const [target, name] of sources) target.addEventListener(name, done);
  });
}
