// One session as a timeline: its calls, what was made ahead for them, and what nobody used.
import { ask } from "../api.js";
import { card, chip, empty, facts, fill, h, tile } from "../dom.js";
import { argumentsText, count, moment, number, percent, pretty, seconds, share } from "../format.js";
import { squeeze } from "../squeeze.js";

const WORDS = {
  hit: "the result was ready",
  join: "the result was on its way",
  lossy: "answered where the last write wins",
  miss: "nothing was made ahead",
  wasted: "made ahead, used by no call",
  compensated: "made ahead, and taken back",
  stuck: "made ahead, and could not be taken back",
  attached: "given along with another call's reply, which is not lossless",
  compared: "compared with the real answer (shadow mode)",
};
const TICKS = 5;

export function open(root, context) {
  const id = context.parameters.get("id") ?? "";
  const expanded = new Set();
  const hidden = new Set();
  const known = new Map();
  let told = null;
  let earliest = null;
  const body = h("div", {});
  fill(root, body);

  async function update() {
    const isFirst = told === null;
    told = await ask("session", { id });
    if (isFirst) earliest = told.earlier;
    for (const row of told.rows) known.set(row.number, row);
    draw();
  }

  async function earlier() {
    const before = await ask("session", { id, before: earliest });
    for (const row of before.rows) known.set(row.number, row);
    earliest = before.earlier;
    draw();
  }

  function draw() {
    const session = told.session;
    context.retitle(`${session.server}, ${moment(session.started_at)}`);
    const rows = [...known.values()].sort((a, b) => a.start_s - b.start_s || a.number - b.number);
    const present = Object.keys(WORDS).filter((what) => rows.some((row) => row.what === what));
    const shown = rows.filter((row) => !hidden.has(row.what));
    fill(
      body,
      h("p", {}, h("a", { href: "#/sessions" }, "← All sessions")),
      h(
        "div",
        { class: "head" },
        h("div", {}, h("h1", {}, session.server), h("p", { class: "lead" }, lead(session))),
      ),
      figures(session),
      told.speculators.map(speculator),
      h(
        "section",
        { class: "card" },
        h("h2", {}, "Timeline"),
        rows.length
          ? [
              h(
                "p",
                { class: "lead" },
                "A hatched bar is a speculation, a full one a call; the dots between them are the time for which a result was held. Long pauses are cut short. Open a line to see why.",
              ),
              h(
                "div",
                { class: "legend", role: "group", "aria-label": "Show" },
                present.map((what) => toggle(what, rows, hidden, draw)),
              ),
              earliest !== null &&
                h(
                  "p",
                  {},
                  h(
                    "button",
                    { type: "button", onclick: earlier, "data-key": "earlier" },
                    "Show earlier calls",
                  ),
                ),
              timeline(shown, expanded, draw, told.wasted_call_s),
            ]
          : empty(
              "No call yet",
              session.live
                ? "The first one shows up here as soon as it has its answer."
                : "The client came and left without one.",
            ),
      ),
      told.skips.length > 0 && skips(told.skips),
    );
  }

  return { update };
}

function lead(session) {
  const end = session.live
    ? [h("span", { class: "dot live" }), "live now"]
    : session.ended_at === null
      ? "without an end: its process is gone"
      : `lasted ${seconds(session.ended_at - session.started_at)}`;
  return [
    `${session.client || "unnamed client"}, ${moment(session.started_at)}, `,
    end,
    session.principal === "local" ? "" : `, ${session.principal}`,
  ];
}

function figures(session) {
  const calls = session.calls ?? 0;
  return h(
    "dl",
    { class: "tiles" },
    tile("Waiting saved", seconds(session.saved_s ?? 0), `in ${count(calls, "call")}`),
    tile(
      "Answered ahead of time",
      share((session.hits ?? 0) + (session.joins ?? 0), calls),
      `${count(session.hits ?? 0, "hit")}, ${count(session.joins ?? 0, "join")}, ${count(session.misses ?? 0, "miss")}`,
    ),
    tile(
      "Speculations wasted",
      share(session.wasted ?? 0, session.speculations ?? 0),
      `${number(session.wasted ?? 0)} of ${number(session.speculations ?? 0)}`,
    ),
  );
}

function speculator(asked) {
  const endings = Object.entries(asked.endings).map(([ending, times]) => `${number(times)} ${ending}`);
  const price = asked.price === 0 ? "free" : asked.price.toFixed(asked.price < 1 ? 4 : 2);
  return h(
    "p",
    { class: "lead" },
    h("b", {}, asked.speculator),
    ` was asked ${count(asked.asked, "question")} (${endings.join(", ")}): `,
    `${number(asked.input_tokens)} tokens sent, ${number(asked.output_tokens)} answered, ${price}`,
  );
}

function toggle(what, rows, hidden, draw) {
  const flip = () => {
    if (!hidden.delete(what)) hidden.add(what);
    draw();
  };
  const number = rows.filter((row) => row.what === what).length;
  return h(
    "label",
    { class: "chip-toggle", title: WORDS[what] },
    h("input", { type: "checkbox", checked: !hidden.has(what), onchange: flip, "data-key": `show ${what}` }),
    " ",
    chip(what, `${what} ${number}`),
  );
}

function timeline(rows, expanded, draw, cost) {
  const spans = rows.flatMap((row) => [
    [row.start_s, row.end_s],
    ...(row.ahead ? [[row.ahead.start_s, row.ahead.end_s]] : []),
  ]);
  const scale = squeeze(spans);
  const place = (from, to) => ({
    left: `${(100 * scale.x(from)).toFixed(3)}%`,
    width: `${(100 * Math.max(scale.x(to) - scale.x(from), 0)).toFixed(3)}%`,
  });
  const cuts = () =>
    scale.cuts.map((cut) =>
      h("i", { class: "cut", style: { left: `${50 * (scale.x(cut.from_s) + scale.x(cut.to_s))}%` } }),
    );
  const ticks = Array.from({ length: TICKS }, (_, index) => index / (TICKS - 1));
  const axis = h(
    "div",
    { class: "axis", "aria-hidden": "true" },
    h("span", {}),
    h("span", {}),
    h(
      "div",
      { class: "lane" },
      ticks.map((x, index) =>
        h(
          "span",
          { class: index === TICKS - 1 ? "tick end" : "tick", style: { left: `${100 * x}%` } },
          seconds(scale.at(x)),
        ),
      ),
    ),
    h("span", {}),
  );
  const lines = rows.map((row) => {
    const isOpen = expanded.has(row.number);
    const flip = () => {
      if (!expanded.delete(row.number)) expanded.add(row.number);
      draw();
    };
    return h(
      "li",
      { class: row.what },
      h(
        "button",
        { type: "button", "aria-expanded": String(isOpen), onclick: flip, "data-key": `row ${row.number}` },
        chip(row.what),
        h(
          "span",
          { class: "call" },
          h("b", {}, row.tool),
          " ",
          h("span", {}, argumentsText(row.arguments).slice(0, 160)),
        ),
        h("span", { class: "lane" }, cuts(), barsOf(row, place)),
        h("span", { class: "took" }, seconds(Math.max(row.end_s - row.start_s, 0))),
      ),
      isOpen && detail(row, cost),
    );
  });
  return h("div", { class: "timeline" }, axis, h("ol", { class: "rows" }, lines));
}

function barsOf(row, place) {
  const ahead = row.ahead;
  const isCall = row.number >= 0;
  return [
    ahead && h("i", { class: "bar ahead", style: place(ahead.start_s, ahead.end_s) }),
    ahead &&
      isCall &&
      ahead.end_s < row.start_s &&
      h("i", { class: "held", style: place(ahead.end_s, row.start_s) }),
    isCall && h("i", { class: "bar", style: place(row.start_s, row.end_s) }),
  ];
}

function detail(row, cost) {
  const ahead = row.ahead;
  const isCall = row.number >= 0;
  return h(
    "div",
    { class: "detail" },
    h(
      "div",
      {},
      facts([
        ["Outcome", `${row.what}: ${WORDS[row.what]}`],
        ["Server", row.server],
        ["At", `${seconds(row.start_s)} after the session began`],
        ["Took", isCall ? seconds(row.wait_s) : seconds(row.end_s - row.start_s)],
        ["Saved", isCall && row.saved_s > 0 ? seconds(row.saved_s) : null],
        ["Answer", isCall && row.is_error ? "an error" : null],
        ["Kind", isCall ? (row.writes ? "write" : "read") : null],
      ]),
      ahead ? why(row, ahead, cost) : noneAhead(row),
    ),
    h(
      "div",
      {},
      h("h3", {}, "Arguments"),
      h("pre", {}, row.arguments ? pretty(row.arguments) : "none"),
      isCall && [h("h3", {}, "Result"), h("pre", {}, row.result ? shortened(row) : "not recorded")],
    ),
  );
}

function shortened(row) {
  const cut = row.result.length >= 2000;
  return cut ? `${row.result}…` : pretty(row.result);
}

function why(row, ahead, cost) {
  const isCall = row.number >= 0;
  return [
    h("h3", {}, "Made ahead"),
    facts([
      ["Predicted by", ahead.source],
      ["Expected", `with ${percent(ahead.q)} that a call would use it`],
      [
        "Admitted",
        ahead.least_wait_s === null
          ? null
          : `since it could hide more than ${seconds(ahead.least_wait_s)} of waiting: at ${percent(ahead.q)} that outweighs a wasted call, which by the present setting is worth ${seconds(cost)}`,
      ],
      [
        "Launched",
        isCall
          ? `${seconds(Math.max(row.start_s - ahead.start_s, 0))} before its call`
          : `${seconds(ahead.start_s)} after the session began`,
      ],
      ["Server took", ahead.answered ? seconds(ahead.end_s - ahead.start_s) : "no answer came"],
      [
        "Ended",
        ahead.state === "adopted"
          ? "used by this call"
          : `${ahead.state}${ahead.words ? `: ${ahead.words}` : ""}`,
      ],
    ]),
  ];
}

function noneAhead(row) {
  const words = row.writes
    ? "A write is not made ahead, unless its manifest knows how to take it back and you allow it."
    : "No candidate was admitted for this call. The reasons for which candidates were skipped stand below the timeline.";
  return [h("h3", {}, "Made ahead"), h("p", { class: "soft" }, words)];
}

function skips(rows) {
  return card(
    "Predictions not acted on",
    "Candidates of this session that were skipped, by reason.",
    skipTable(rows),
  );
}

export function skipTable(rows) {
  return h(
    "div",
    { class: "scroll" },
    h(
      "table",
      { "aria-label": "Skipped candidates" },
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          h("th", { scope: "col" }, "Reason"),
          h("th", { scope: "col" }, "What it means"),
          h("th", { scope: "col", class: "right" }, "Times"),
        ),
      ),
      h(
        "tbody",
        {},
        rows.map((row) =>
          h(
            "tr",
            {},
            h("td", {}, h("code", {}, row.reason)),
            h("td", { class: "words" }, row.words),
            h("td", { class: "right" }, number(row.count)),
          ),
        ),
      ),
    ),
  );
}
