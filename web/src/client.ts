// The way to /v1: JSON in and out, problems as they are said, the token asked for once and kept in memory only.
import type { ProblemBody } from "./api";

export class Problem extends Error {
  readonly status: number;
  readonly title: string;

  constructor(status: number, title: string, detail: string) {
    super(detail);
    this.status = status;
    this.title = title;
  }
}

let token: string | null = null;
let asked: Promise<string> | null = null;
let ask: (again: boolean) => Promise<string> = () =>
  Promise.reject(new Problem(401, "Not signed in", "a token is needed"));

/** Who asks the user for a token. */
export function askTokenWith(dialog: typeof ask): void {
  ask = dialog;
}

async function newToken(refused: string | null): Promise<void> {
  if (token !== refused) return; // another request has brought a newer one meanwhile
  asked ??= ask(refused !== null).finally(() => (asked = null));
  token = await asked;
}

/** `fetch` with the token, asking for one as often as the platform says 401. */
export async function authorized(path: string, init: RequestInit = {}): Promise<Response> {
  for (;;) {
    const used = token;
    const headers = new Headers(init.headers);
    if (used !== null) headers.set("Authorization", `Bearer ${used}`);
    const response = await fetch(path, { ...init, headers });
    if (response.status !== 401) return response;
    await newToken(used);
  }
}

async function problem(response: Response): Promise<Problem> {
  try {
    const said = (await response.json()) as Partial<ProblemBody>;
    const detail = [said.detail ?? "", ...(said.errors ?? [])].filter(Boolean).join("; ");
    return new Problem(response.status, said.title ?? response.statusText, detail || `HTTP ${response.status}`);
  } catch {
    return new Problem(response.status, response.statusText || "No answer", `HTTP ${response.status}`);
  }
}

async function checked(path: string, init: RequestInit): Promise<Response> {
  let response: Response;
  try {
    response = await authorized(path, init);
  } catch (error) {
    if (error instanceof Problem || (error instanceof DOMException && error.name === "AbortError")) throw error;
    throw new Problem(0, "No answer", "the platform cannot be reached");
  }
  if (!response.ok) throw await problem(response);
  return response;
}

export async function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  const timeout = AbortSignal.timeout(30_000);
  const response = await checked(path, { signal: signal ? AbortSignal.any([signal, timeout]) : timeout });
  return (await response.json()) as T;
}

export const post = <T>(path: string, body?: unknown): Promise<T> => send<T>("POST", path, body);
export const patch = <T>(path: string, body: unknown): Promise<T> => send<T>("PATCH", path, body);

async function send<T>(method: string, path: string, body: unknown): Promise<T> {
  const init: RequestInit = { method, signal: AbortSignal.timeout(30_000) };
  if (body !== undefined) {
    init.body = JSON.stringify(body);
    init.headers = { "Content-Type": "application/json" };
  }
  const response = await checked(path, init);
  return (await response.json()) as T;
}

export type Query = Record<string, string | number | null | undefined>;

/** A path with those parameters that have a value, escaped. */
export function withQuery(path: string, query: Query): string {
  const pairs = Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== "");
  return pairs.length ? `${path}?${new URLSearchParams(pairs.map(([k, v]) => [k, String(v)]))}` : path;
}

export function save(content: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** What `path` answers, as a file. */
export async function saveFile(path: string, name: string): Promise<void> {
  const response = await checked(path, { signal: AbortSignal.timeout(120_000) });
  save(await response.blob(), name);
}

export async function saveCsv(path: string, name: string): Promise<void> {
  const response = await checked(path, { headers: { Accept: "text/csv" }, signal: AbortSignal.timeout(60_000) });
  save(await response.blob(), name);
}
