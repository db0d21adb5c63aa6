// What happened, in one look: what was saved and wasted, and who is here.
import { ask } from "../api.js";
import { axis, bars, chart, timeScale } from "../charts.js";
import { card, chip, empty, fill, h, notice, table, tile } from "../dom.js";
import { chosen, filters } from "../filters.js";
import { count, moment, number, seconds, share, shortTime } from "../format.js";
import { sessionList } from "./sessions.js";

export function open(root, context) {
  const part = chosen(context.parameters);
  const alerts = h("div", {});
  const tiles = h("div", {});
  const drawn = h("div", {});
  const rest = h("div", {});
  let step = 60;
  let times = [];
  const saved = chart("Seconds saved and wasted over time", () => ({
    scales: { x: timeScale(() => step) },
    axes: [
      axis({ values: (_, splits) => splits.map((at) => shortTime(at, step)), space: 80 }),
      axis({ values: (_, splits) => splits.map((value) => seconds(Math.abs(value))), size: 64 }),
    ],
    series: [
      { label: "Time", value: (_, raw) => (raw === null ? "–" : moment(raw)) },
      bars("Saved", "--hit", (raw) => (raw === null ? "–" : seconds(raw))),
      bars("Wasted", "--wasted", (raw) => (raw === null ? "–" : seconds(-raw))),
    ],
  }));
  const answers = chart("How calls were answered over time", () => ({
    scales: { x: timeScale(() => step), y: { range: (_, __, high) => [0, Math.max(high * 1.08, 4)] } },
    axes: [
      axis({ values: (_, splits) => splits.map((at) => shortTime(at, step)), space: 80 }),
      axis({ size: 64, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 5000, 10000] }),
    ],
    // stacked: each bar is drawn from the ground, the whole first
    series: [
      { label: "Time", value: (_, raw) => (raw === null ? "–" : moment(raw)) },
      bars("Misses", "--miss", (_, index) =>
        index === null ? "–" : number(times[index].calls - times[index].hits - times[index].joins),
      ),
      bars("Joins", "--join", (_, index) => (index === null ? "–" : number(times[index].joins))),
      bars("Hits", "--hit", (_, index) => (index === null ? "–" : number(times[index].hits))),
    ],
  }));
  fill(
    root,
    h(
      "div",
      { class: "head" },
      h(
        "div",
        {},
        h("h1", {}, "Overview"),
        h("p", { class: "lead" }, "What was made ahead of time, what that saved, and what it cost."),
      ),
      filters(context.parameters, (next) => context.go(next)),
    ),
    alerts,
    tiles,
    drawn,
    rest,
  );

  async function update() {
    const [told, over] = await Promise.all([ask("overview", part), ask("over-time", part)]);
    fill(alerts, told.undos.filter((entry) => entry.state === "stuck").length > 0 && stuck(told.undos));
    const isNew =
      told.summary.calls === undefined || (told.summary.calls === 0 && told.sessions.length === 0);
    if (isNew) {
      fill(tiles);
      fill(drawn);
      fill(rest, beginning(told));
      return;
    }
    fill(tiles, summary(told.summary, told.sessions));
    if (!drawn.hasChildNodes()) {
      fill(
        drawn,
        h(
          "div",
          { class: "two" },
          card(
            "Saved and wasted",
            "Up: waiting that the client was spared. Down: time that servers spent on speculations that no call used.",
            saved.root,
            h("details", { class: "more" }),
          ),
          card(
            "How calls were answered",
            "A hit found its result ready, a join found it still running, a miss found nothing.",
            answers.root,
          ),
        ),
      );
    }
    step = over.step_s || 60;
    times = over.bars;
    const at = times.map((bar) => bar.at + step / 2);
    saved.set(
      [at, times.map((bar) => bar.saved_s), times.map((bar) => -bar.wasted_s)],
      savedWords(told.summary),
    );
    answers.set([
      at,
      times.map((bar) => bar.calls),
      times.map((bar) => bar.hits + bar.joins),
      times.map((bar) => bar.hits),
    ]);
    fill(drawn.querySelector("details.more"), h("summary", {}, "As a table"), overTime(times, step));
    fill(
      rest,
      card(
        "Newest sessions",
        null,
        told.sessions.length ? sessionList(told.sessions) : h("p", { class: "soft" }, "None is kept."),
        h("p", {}, h("a", { href: "#/sessions" }, "All sessions")),
      ),
      told.comparisons.length > 0 && comparisons(told.comparisons),
    );
  }

  return {
    update,
    close() {
      saved.close();
      answers.close();
    },
  };
}

function savedWords(all) {
  return `Over time: ${seconds(all.saved_s)} saved, ${seconds(all.wasted_s)} of servers' time wasted`;
}

function summary(all, sessions) {
  const live = sessions.filter((session) => session.live).length;
  return h(
    "dl",
    { class: "tiles" },
    tile("Waiting saved", seconds(all.saved_s), `${seconds(all.waited_s)} were waited for all the same`),
    tile(
      "Answered ahead of time",
      share(all.hits + all.joins, all.calls),
      `${count(all.hits, "hit")}, ${count(all.joins, "join")} of ${count(all.calls, "call")}`,
    ),
    tile(
      "Speculations wasted",
      share(all.wasted, all.speculations),
      `${number(all.wasted)} of ${number(all.speculations)}, ${seconds(all.wasted_s)} of servers' time`,
    ),
    tile("Sessions", number(all.sessions), live ? `${live} of them live` : "none of them live"),
  );
}

function stuck(entries) {
  const found = entries.filter((entry) => entry.state === "stuck");
  return notice(
    "bad",
    h("strong", {}, `${count(found.length, "early write")} could not be taken back. `),
    `Calls to ${[...new Set(found.map((entry) => entry.server))].join(", ")} that touch the same fail until somebody settles this: `,
    h("a", { href: "#/undo" }, "the undo journal"),
    ".",
  );
}

function beginning(told) {
  return h(
    "section",
    { class: "card" },
    empty(
      "Nothing is recorded yet",
      h(
        "span",
        {},
        "Put spec-mcp in front of a server, and use it: ",
        h("code", {}, "spec-mcp wrap -- COMMAND"),
        ", or ",
        h("code", {}, "spec-mcp install claude-code"),
        ".",
      ),
      "This page shows what happens as it happens.",
      h("span", {}, "The record will be in ", h("code", {}, told.store)),
    ),
  );
}

function overTime(times, step) {
  return table(
    "Over time",
    [
      { title: "From", of: (bar) => moment(bar.at) },
      { title: "Calls", right: true, of: (bar) => number(bar.calls) },
      { title: "Hits", right: true, of: (bar) => number(bar.hits) },
      { title: "Joins", right: true, of: (bar) => number(bar.joins) },
      { title: "Speculations", right: true, of: (bar) => number(bar.speculations) },
      { title: "Wasted", right: true, of: (bar) => number(bar.wasted) },
      { title: "Saved", right: true, of: (bar) => seconds(bar.saved_s) },
    ],
    times.filter((bar) => bar.calls || bar.speculations),
  );
}

function comparisons(rows) {
  const all = rows.reduce((sum, row) => sum + row.compared, 0);
  const different = rows.reduce((sum, row) => sum + row.different, 0);
  const words = different
    ? [chip("stuck", count(different, "difference")), " in ", count(all, "comparison"), "."]
    : [`None of ${count(all, "comparison")} differed.`];
  return card(
    "Comparisons",
    "Early results that were held against later ones: in shadow mode, and as a check of what was answered.",
    h("p", {}, words, " ", h("a", { href: "#/comparisons" }, "Which, and how")),
  );
}
