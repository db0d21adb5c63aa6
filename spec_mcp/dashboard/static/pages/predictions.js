// How good the predictions were.
import { ask } from "../api.js";
import { axis, chart, colour, timeScale } from "../charts.js";
import { card, empty, fill, h, table } from "../dom.js";
import { chosen, filters } from "../filters.js";
import { moment, number, percent, share, shortTime } from "../format.js";

export function open(root, context) {
  const part = chosen(context.parameters);
  const body = h("div", {});
  const drawn = h("div", {});
  const rest = h("div", {});
  let bins = [];
  let step = 60;
  const points = (name) => ({ show: true, size: 9, fill: colour(name), stroke: colour(name) });
  const shareAxis = () => axis({ values: (_, splits) => splits.map(percent), size: 52 });
  const calibration = chart(
    "Calibration: expected against what was used",
    () => ({
      cursor: { drag: { setScale: false } },
      scales: { x: { time: false, range: [0, 1] }, y: { range: [0, 1] } },
      axes: [axis({ values: (_, splits) => splits.map(percent) }), shareAxis()],
      series: [
        { label: "Expected", value: (_, raw) => (raw === null ? "–" : percent(raw)) },
        {
          label: "Used",
          stroke: colour("--compared"),
          width: 2,
          points: points("--compared"),
          spanGaps: true,
          value: (_, raw) => (raw === null ? "–" : percent(raw)),
        },
      ],
      hooks: { drawAxes: [(plot) => diagonal(plot)], draw: [(plot) => whiskers(plot, bins)] },
    }),
    300,
  );
  const rates = chart(
    "Hit rate over time",
    () => ({
      scales: { x: timeScale(() => step), y: { range: [0, 1] } },
      axes: [
        axis({ values: (_, splits) => splits.map((at) => shortTime(at, step)), space: 80 }),
        shareAxis(),
      ],
      series: [
        { label: "Time", value: (_, raw) => (raw === null ? "–" : moment(raw)) },
        {
          label: "Calls answered ahead",
          stroke: colour("--hit"),
          width: 2,
          points: points("--hit"),
          spanGaps: true,
          value: (_, raw) => (raw === null ? "–" : percent(raw)),
        },
        {
          label: "Speculations used",
          stroke: colour("--wasted"),
          width: 2,
          dash: [6, 4],
          points: points("--wasted"),
          spanGaps: true,
          value: (_, raw) => (raw === null ? "–" : percent(raw)),
        },
      ],
    }),
    300,
  );
  fill(
    root,
    h(
      "div",
      { class: "head" },
      h(
        "div",
        {},
        h("h1", {}, "Predictions"),
        h("p", { class: "lead" }, "How often what was expected came true."),
      ),
      filters(context.parameters, (next) => context.go(next)),
    ),
    body,
    drawn,
    rest,
  );

  async function update() {
    const [told, over] = await Promise.all([ask("predictions", part), ask("over-time", part)]);
    if (!told.bins.length) {
      fill(drawn);
      fill(rest);
      fill(
        body,
        h(
          "section",
          { class: "card" },
          empty(
            "No speculation in this part of the record",
            "spec-mcp first learns which calls follow which: after a few sessions it begins to make some ahead.",
            h(
              "span",
              {},
              "Only tools that a manifest calls reads are speculated: ",
              h("a", { href: "#/manifests" }, "manifests"),
              ".",
            ),
          ),
        ),
      );
      return;
    }
    fill(body);
    if (!drawn.hasChildNodes()) {
      fill(
        drawn,
        h(
          "div",
          { class: "two" },
          card(
            "Calibration",
            "Each point is the speculations of about one probability: how many of them a call used. On the dashed line the estimate is exact; above it, it is cautious. The thin lines say how sure that is (95 %).",
            calibration.root,
          ),
          card(
            "Hit rate",
            "Of all calls, those that were answered ahead of time; of all speculations, those that a call used.",
            rates.root,
          ),
        ),
      );
    }
    bins = told.bins;
    step = over.step_s || 60;
    calibration.set(
      [bins.map((bin) => bin.expected), bins.map((bin) => bin.share)],
      `Calibration: ${bins.map((bin) => `expected ${percent(bin.expected)}, used ${percent(bin.share)}`).join("; ")}`,
    );
    const some = over.bars.filter((bar) => bar.calls || bar.speculations);
    rates.set([
      some.map((bar) => bar.at + step / 2),
      some.map((bar) => (bar.calls ? (bar.hits + bar.joins) / bar.calls : null)),
      some.map((bar) => (bar.speculations ? 1 - bar.wasted / bar.speculations : null)),
    ]);
    fill(
      rest,
      card(
        "What predicted",
        "Where the arguments of the speculated calls came from: a field of an earlier result, an earlier argument, or a habit.",
        sources(told.sources),
      ),
      told.ends.length > 0 && card("Why speculations were wasted", null, ends(told.ends)),
      card("Calibration as a table", null, binTable(bins)),
    );
  }

  return {
    update,
    close() {
      calibration.close();
      rates.close();
    },
  };
}

function line(plot, style, dash, from, to) {
  const { ctx } = plot;
  ctx.save();
  ctx.strokeStyle = style;
  ctx.lineWidth = devicePixelRatio;
  ctx.setLineDash(dash.map((part) => part * devicePixelRatio));
  ctx.beginPath();
  ctx.moveTo(plot.valToPos(from[0], "x", true), plot.valToPos(from[1], "y", true));
  ctx.lineTo(plot.valToPos(to[0], "x", true), plot.valToPos(to[1], "y", true));
  ctx.stroke();
  ctx.restore();
}

function diagonal(plot) {
  line(plot, colour("--soft"), [5, 5], [0, 0], [1, 1]);
}

function whiskers(plot, bins) {
  for (const bin of bins)
    line(plot, colour("--compared"), [], [bin.expected, bin.low], [bin.expected, bin.high]);
}

function sources(rows) {
  return table(
    "What predicted",
    [
      { title: "Predicted by", class: "name", of: (row) => row.source },
      { title: "Speculations", right: true, of: (row) => number(row.count), sort: (row) => row.count },
      { title: "Expected", right: true, of: (row) => percent(row.expected), sort: (row) => row.expected },
      {
        title: "Used",
        right: true,
        of: (row) => share(row.used, row.count),
        sort: (row) => row.used / row.count,
      },
    ],
    rows,
  );
}

function ends(rows) {
  return table(
    "Why speculations were wasted",
    [
      { title: "Reason", of: (row) => h("code", {}, row.reason || "–") },
      { title: "What it means", class: "words", of: (row) => row.words },
      { title: "Times", right: true, of: (row) => number(row.count) },
    ],
    rows,
  );
}

function binTable(bins) {
  return table(
    "Calibration",
    [
      { title: "Expected", of: (bin) => percent(bin.expected) },
      { title: "Speculations", right: true, of: (bin) => number(bin.count) },
      { title: "Used", right: true, of: (bin) => percent(bin.share) },
      { title: "Between (95 %)", right: true, of: (bin) => `${percent(bin.low)} and ${percent(bin.high)}` },
    ],
    bins,
  );
}
