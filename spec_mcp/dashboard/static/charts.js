// Charts by uPlot, which is there as a global. Colours come from the style sheet, so that they follow the theme.
import { h } from "./dom.js";

const charts = new Set();

/** What a custom property of the style sheet means now, as a colour that a canvas knows. */
export function colour(name) {
  const probe = h("span", { hidden: false });
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

export function redrawAll() {
  for (const chart of charts) chart.redraw();
}

/**
 * A chart in an element of its own. `options` gives uPlot's options for a width and is asked again when the theme
 * changes; `set` shows data. `words` say what is seen, for who does not see it.
 */
export function chart(words, options, height = 220) {
  const root = h("div", { class: "chart", role: "img", "aria-label": words });
  let plot = null;
  let data = null;
  const redraw = () => {
    plot?.destroy();
    plot = null;
    if (!data || !root.isConnected) return;
    plot = new uPlot({ width: Math.max(root.clientWidth, 200), height, ...options() }, data, root);
  };
  const observer = new ResizeObserver(() => {
    if (plot && root.clientWidth > 0) plot.setSize({ width: root.clientWidth, height });
    else if (!plot) redraw();
  });
  observer.observe(root);
  const self = {
    root,
    redraw,
    set(next, label = words) {
      data = next;
      root.setAttribute("aria-label", label);
      if (plot) plot.setData(next);
      else redraw();
    },
    close() {
      observer.disconnect();
      charts.delete(self);
      plot?.destroy();
    },
  };
  charts.add(self);
  return self;
}

export function axis(more = {}) {
  return {
    stroke: colour("--soft"),
    font: "12px system-ui, sans-serif",
    grid: { stroke: colour("--line"), width: 1 },
    ticks: { stroke: colour("--line"), width: 1 },
    ...more,
  };
}

/** Bars over time beside each other's middle; `fill` by a colour's name. */
export function bars(label, name, value) {
  return {
    label,
    value: (_, raw, __, index) => value(raw, index),
    stroke: colour(name),
    fill: colour(name),
    paths: uPlot.paths.bars({ size: [0.8, 40], align: 0 }),
    points: { show: false },
  };
}

/** Time along x, with room for half a bar on either side. */
export function timeScale(step) {
  return {
    time: true,
    range: (_, low, high) => [low - step() * 0.7, high + step() * 0.7],
  };
}
