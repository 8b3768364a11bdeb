// Numbers with units, and times: local, with UTC where one points at them.
import { T } from "./texts.js";

const number = (value, digits) =>
  value.toLocaleString(undefined, { maximumSignificantDigits: digits, useGrouping: Math.abs(value) >= 10000 });

export const num = (value, unit = "", digits = 3) =>
  value === null || value === undefined || !Number.isFinite(value) ? T.none : number(value, digits) + (unit && `\u00a0${unit}`);

export const whole = (value) => (value === null || value === undefined ? T.none : Math.round(value).toLocaleString());

export const percent = (share, digits = 3) => (share === null || share === undefined ? T.none : num(100 * share, "%", digits));

export const bytes = (value) => {
  if (value === null || value === undefined) return T.none;
  for (const [unit, size] of [["GiB", 2 ** 30], ["MiB", 2 ** 20], ["KiB", 2 ** 10]])
    if (value >= size) return num(value / size, unit);
  return num(value, "B", 4);
};

export const span = (seconds) => {
  if (seconds === null || seconds === undefined) return T.none;
  if (seconds < 60) return `${Math.max(0, Math.round(seconds))}\u00a0s`;
  if (seconds < 3600) return `${Math.round(seconds / 60)}\u00a0min`;
  if (seconds < 48 * 3600) return `${num(seconds / 3600, "h", 2)}`;
  return `${Math.round(seconds / 86400)}\u00a0d`;
};

export const clock = (ms, now) => {
  const date = new Date(ms);
  const sameDay = new Date(now).toDateString() === date.toDateString();
  const time = date.toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
  return sameDay ? time : `${date.toLocaleDateString(undefined, { day: "numeric", month: "short", year: "numeric" })} ${time}`;
};

export const utc = (ms) => `${new Date(ms).toISOString().slice(0, 19).replace("T", " ")} UTC`;

export const ms = (iso) => (iso ? Date.parse(iso) : null);
