// Light, dark, or as the system has it; remembered. public/theme.js sets it before the first paint.
import { useSyncExternalStore } from "react";

export type Theme = "system" | "light" | "dark";
const KEY = "tieline-theme";
const readers = new Set<() => void>();
const system = window.matchMedia("(prefers-color-scheme: dark)");
const root = document.documentElement.dataset;

const chosen = (): Theme => (root.choice as Theme | undefined) ?? "system";
const shown = (): "light" | "dark" => (root.theme === "dark" ? "dark" : "light");

function show(): void {
  const theme = chosen();
  root.theme = theme === "system" ? (system.matches ? "dark" : "light") : theme;
  for (const reader of readers) reader();
}
system.addEventListener("change", show);

function subscribe(reader: () => void): () => void {
  readers.add(reader);
  return () => readers.delete(reader);
}

export function setTheme(theme: Theme): void {
  root.choice = theme;
  try {
    localStorage.setItem(KEY, theme);
  } catch {
    // storage may be forbidden: the choice then lasts as long as the page
  }
  show();
}

export const useTheme = (): Theme => useSyncExternalStore(subscribe, chosen);
export const useShownTheme = (): "light" | "dark" => useSyncExternalStore(subscribe, shown);

/** The value of a colour variable, for what is drawn on a canvas. */
export function colour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}
