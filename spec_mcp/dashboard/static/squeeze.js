// Time along a timeline: where nothing runs for long, it is cut short, so that what happens has room.

/** A gap is shown no longer than this share of all the time in which something ran, and at least MIN_CUT_S. */
const CUT_SHARE = 0.08;
const MIN_CUT_S = 0.3;

/**
 * Of intervals [start, end] in seconds: `x(t)` from 0 to 1, `at(x)` its inverse, and `cuts`, the gaps that were cut.
 */
export function squeeze(intervals) {
  const busy = merged(intervals);
  if (!busy.length) return { x: () => 0, at: () => 0, cuts: [] };
  const running = busy.reduce((sum, [start, end]) => sum + end - start, 0);
  const longest = Math.max(MIN_CUT_S, running * CUT_SHARE);
  const knots = [[busy[0][0], 0]];
  const cuts = [];
  let place = 0;
  busy.forEach(([start, end], index) => {
    if (index > 0) {
      const gap = start - busy[index - 1][1];
      const shown = Math.min(gap, longest);
      if (gap > longest) cuts.push({ from_s: busy[index - 1][1], to_s: start, gap_s: gap });
      place += shown;
      knots.push([start, place]);
    }
    place += end - start;
    knots.push([end, place]);
  });
  const whole = place || 1;
  const between = (value, from, to) => {
    let low = knots[0];
    for (const high of knots) {
      if (value <= high[from])
        return high[from] === low[from]
          ? high[to]
          : low[to] + ((value - low[from]) / (high[from] - low[from])) * (high[to] - low[to]);
      low = high;
    }
    return low[to];
  };
  return { x: (time) => between(time, 0, 1) / whole, at: (x) => between(x * whole, 1, 0), cuts };
}

function merged(intervals) {
  const sorted = [...intervals].sort((a, b) => a[0] - b[0]);
  const found = [];
  for (const [start, end] of sorted) {
    const last = found.at(-1);
    if (last && start <= last[1]) last[1] = Math.max(last[1], end);
    else found.push([start, end]);
  }
  return found;
}
