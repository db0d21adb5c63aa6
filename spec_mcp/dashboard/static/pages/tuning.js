// The cost-latency curve: what each price of a wasted call would have saved, and wasted.
import { act, ask } from "../api.js";
import { axis, chart, colour } from "../charts.js";
import { card, empty, fill, h, notice, table } from "../dom.js";
import { count, percent, seconds } from "../format.js";

export function open(root, context) {
  const begin = h("div", {});
  const drawn = h("div", {});
  const rest = h("div", {});
  let drawing = false;
  let failed = "";
  let told = null;
  const only = (curve, chosen) =>
    curve.curve.map((point) => (point.wasted_call_s === chosen ? point.hidden_share : null));
  const mark = (label, name, size) => ({
    label,
    stroke: colour(name),
    width: 0,
    points: { show: true, size, width: 3, stroke: colour(name), fill: "transparent" },
    value: (_, raw) => (raw === null ? "–" : percent(raw)),
  });
  const curveChart = chart(
    "Waiting hidden against waste",
    () => ({
      cursor: { drag: { setScale: false } },
      scales: {
        x: { time: false, range: (_, low, high) => [0, Math.max(high * 1.12, 0.1)] },
        y: { range: (_, low, high) => [Math.min(low, 0), Math.min(Math.max(high * 1.2, 0.05), 1)] },
      },
      axes: [
        axis({
          label: "Wasted speculations per ten calls",
          labelSize: 22,
          labelFont: "12px system-ui, sans-serif",
        }),
        axis({
          values: (_, splits) => splits.map(percent),
          size: 52,
          label: "Waiting hidden",
          labelSize: 22,
          labelFont: "12px system-ui, sans-serif",
        }),
      ],
      series: [
        { label: "Wasted per ten calls", value: (_, raw) => (raw === null ? "–" : raw.toFixed(2)) },
        {
          label: "Waiting hidden",
          stroke: colour("--compared"),
          width: 2,
          points: { show: true, size: 7, fill: colour("--compared") },
          value: (_, raw) => (raw === null ? "–" : percent(raw)),
        },
        mark("Present setting", "--stuck", 17),
        mark("Setting to choose", "--hit", 25),
      ],
      hooks: { draw: [(plot) => names(plot, told?.curve)] },
    }),
    360,
  );
  fill(
    root,
    h(
      "div",
      { class: "head" },
      h(
        "div",
        {},
        h("h1", {}, "Tuning"),
        h(
          "p",
          { class: "lead" },
          "One setting trades waiting for waste: wasted_call_s, what a wasted call is worth in seconds of waiting. Your own history is replayed at several values of it.",
        ),
      ),
    ),
    begin,
    drawn,
    rest,
  );

  async function draw() {
    drawing = true;
    failed = "";
    show();
    try {
      told.curve = (await act("draw-curve")).curve;
    } catch (error) {
      failed = error.message;
    }
    drawing = false;
    show();
  }

  async function update() {
    told = await ask("curve");
    show();
  }

  function show() {
    const running = drawing || told.drawing;
    const button = h(
      "button",
      {
        type: "button",
        class: "primary",
        disabled: running || told.calls === 0,
        onclick: draw,
        "data-key": "draw",
      },
      running ? "Replaying your sessions…" : told.curve ? "Draw it again" : "Draw the curve",
    );
    fill(
      begin,
      failed && notice("bad", failed),
      h(
        "div",
        { class: "card" },
        h(
          "p",
          {},
          "The present setting is ",
          h("code", {}, `wasted_call_s = ${told.now}`),
          ". The curve takes up to a minute, in a process of its own; nothing is changed.",
        ),
        button,
        told.calls === 0 && h("p", { class: "soft" }, "Nothing is recorded to draw it from yet."),
      ),
    );
    const curve = told.curve;
    if (!curve) return;
    if (!curve.reads) {
      fill(drawn);
      fill(rest, h("section", { class: "card" }, empty("No curve can be drawn", curve.advice)));
      return;
    }
    if (!drawn.hasChildNodes())
      fill(
        drawn,
        card(
          "Waiting hidden, and what it costs",
          "Each point is a setting: further up more waiting is hidden, further right more is wasted.",
          curveChart.root,
        ),
      );
    const points = sorted(curve);
    const inOrder = { curve: points };
    curveChart.set([
      points.map((point) => point.waste_per_ten),
      points.map((point) => point.hidden_share),
      only(inOrder, curve.now),
      only(inOrder, curve.wasted_call_s),
    ]);
    fill(
      rest,
      notice(curve.wasted_call_s === null ? "" : "good", curve.advice),
      card("All settings", null, settings(curve)),
    );
  }

  return { update, close: () => curveChart.close() };
}

/** By waste, as a chart wants its x. */
function sorted(curve) {
  return [...curve.curve].sort((a, b) => a.waste_per_ten - b.waste_per_ten);
}

/** What each point stands for, the marked ones first: where several lie together, there is room for one name. */
function names(plot, curve) {
  if (!curve) return;
  const { ctx } = plot;
  const marked = (point) => Number([curve.now, curve.wasted_call_s].includes(point.wasted_call_s));
  const taken = [];
  ctx.save();
  ctx.fillStyle = colour("--soft");
  ctx.font = `${11 * devicePixelRatio}px system-ui, sans-serif`;
  ctx.textAlign = "left";
  for (const point of [...curve.curve].sort((one, other) => marked(other) - marked(one))) {
    const x = plot.valToPos(point.waste_per_ten, "x", true);
    if (taken.some((known) => Math.abs(known - x) < 40 * devicePixelRatio)) continue;
    taken.push(x);
    const y = plot.valToPos(point.hidden_share, "y", true);
    ctx.fillText(`${point.wasted_call_s} s`, x + 10 * devicePixelRatio, y - 10 * devicePixelRatio);
  }
  ctx.restore();
}

function settings(curve) {
  const marks = (point) =>
    [point.wasted_call_s === curve.now && "now", point.wasted_call_s === curve.wasted_call_s && "choose"]
      .filter(Boolean)
      .join(", ");
  return [
    h(
      "p",
      { class: "soft" },
      `${count(curve.calls, "call")} in ${count(curve.sessions, "session")}, replayed at each setting.`,
    ),
    table(
      "Settings",
      [
        { title: "wasted_call_s", of: (point) => h("code", {}, String(point.wasted_call_s)) },
        { title: "Waiting hidden", right: true, of: (point) => percent(point.hidden_share) },
        { title: "Saves", right: true, of: (point) => seconds(Math.max(point.hidden_s, 0)) },
        { title: "Answered ahead", right: true, of: (point) => percent(point.answered_share) },
        { title: "Used", right: true, of: (point) => percent(point.used_share) },
        { title: "Wasted per ten calls", right: true, of: (point) => point.waste_per_ten.toFixed(2) },
        { title: "", of: (point) => marks(point) && h("span", { class: "badge" }, marks(point)) },
      ],
      curve.curve,
    ),
  ];
}
