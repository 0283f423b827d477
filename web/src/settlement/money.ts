// Decimals as /v1 writes them: strings, shown with all their digits. Numbers are made of them only to sort and to draw.
import { NOTHING } from "../format";

const locale = navigator.languages as string[];
type Exact = Intl.StringNumericLiteral;

const digits = (text: string): number => (text.split(".")[1] ?? "").length;

export function decimal(text: string | null | undefined): string {
  if (text == null || text === "") return NOTHING;
  const places = digits(text);
  return new Intl.NumberFormat(locale, { minimumFractionDigits: places, maximumFractionDigits: places }).format(
    text as Exact,
  );
}

export const money = (amount: string, currency: string): string => `${currency} ${decimal(amount)}`;

export const kwh = (text: string): string => `${decimal(text)} kWh`;

/** The change between two amounts, its sign always told. */
export const change = (amount: string): string => `${Number(amount) > 0 ? "+" : ""}${decimal(amount)}`;

const percent = new Intl.NumberFormat(locale, { style: "percent", maximumFractionDigits: 6 });

/** A share as a percentage, with all its digits. */
export const share = (text: string): string => percent.format(text as Exact);
