// Numbers and times as people read them; the same words as on the terminal.

export function seconds(duration) {
  if (duration === null || duration === undefined) return "–";
  if (duration === 0) return "0 s";
  const size = Math.abs(duration);
  if (size >= 7200) return `${(duration / 3600).toFixed(1)} h`;
  if (size >= 120) return `${(duration / 60).toFixed(1)} min`;
  if (size >= 9.995) return `${duration.toFixed(1)} s`;
  return size >= 0.0995 ? `${duration.toFixed(2)} s` : `${Math.round(duration * 1000)} ms`;
}

export function share(part, whole) {
  return whole ? percent(part / whole) : "–";
}

export function percent(value) {
  const points = 100 * value;
  return `${points > 0 && points < 9.95 ? points.toFixed(1) : Math.round(points)} %`;
}

export function number(value) {
  return Math.round(value).toLocaleString("en");
}

export function count(value, noun) {
  const plural = { miss: "misses", entry: "entries" }[noun] ?? `${noun}s`;
  return `${number(value)} ${value === 1 ? noun : plural}`;
}

export function moment(at) {
  const date = new Date(at * 1000);
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  const today = new Date().toDateString() === date.toDateString();
  return `${today ? "today" : day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

export function shortTime(at, step) {
  const date = new Date(at * 1000);
  const clock = `${two(date.getHours())}:${two(date.getMinutes())}`;
  if (step < 60) return `${clock}:${two(date.getSeconds())}`;
  return step < 14400
    ? clock
    : `${two(date.getMonth() + 1)}-${two(date.getDate())}${step < 86400 ? ` ${clock}` : ""}`;
}

function two(value) {
  return String(value).padStart(2, "0");
}

/** JSON text as `name=value, …`, or as it is where it is no object or was cut. */
export function argumentsText(text) {
  if (!text) return "";
  try {
    const value = JSON.parse(text);
    if (value && typeof value === "object" && !Array.isArray(value))
      return Object.entries(value)
        .map(([name, member]) => `${name}=${JSON.stringify(member)}`)
        .join(", ");
  } catch {
    // it was cut
  }
  return text;
}

export function pretty(text) {
  try {
    const value = JSON.parse(text);
    return typeof value === "string" ? prettyWithin(value) : JSON.stringify(value, null, 2);
  } catch {
    return text;
  }
}

/** Many servers answer with JSON in a text. */
function prettyWithin(text) {
  return /^\s*[[{]/.test(text) ? pretty(text) : text;
}
