// Sessions, live and past.
import { ask } from "../api.js";
import { card, chip, empty, fill, h } from "../dom.js";
import { count, moment, seconds, share } from "../format.js";

const SHARES = [
  ["hits", "hit"],
  ["joins", "join"],
  ["lossy", "lossy"],
  ["misses", "miss"],
];

export function open(root, context) {
  const list = h("div", {});
  let known = [];
  let more = false;
  fill(
    root,
    h(
      "div",
      { class: "head" },
      h(
        "div",
        {},
        h("h1", {}, "Sessions"),
        h(
          "p",
          { class: "lead" },
          "One client's stay at one server, or at a gateway. Open one to see its calls and speculations as a timeline.",
        ),
      ),
    ),
    list,
  );

  async function update() {
    const told = await ask("sessions");
    const oldest = told.sessions.at(-1)?.started_at ?? Infinity;
    const fresh = known.length === 0;
    known = [...told.sessions, ...known.filter((session) => session.started_at < oldest)];
    if (fresh) more = told.more;
    draw();
  }

  async function further() {
    const told = await ask("sessions", { before: known.at(-1).started_at });
    known = [...known, ...told.sessions];
    more = told.more;
    draw();
  }

  function draw() {
    if (!known.length) {
      fill(
        list,
        h(
          "section",
          { class: "card" },
          empty(
            "No session is recorded yet",
            h(
              "span",
              {},
              "A session begins when a client starts a server behind ",
              h("code", {}, "spec-mcp wrap"),
              " or connects to ",
              h("code", {}, "spec-mcp run"),
              ".",
            ),
          ),
        ),
      );
      return;
    }
    const live = known.filter((session) => session.live);
    const past = known.filter((session) => !session.live);
    fill(
      list,
      h(
        "ul",
        { class: "legend", "aria-label": "Colours" },
        SHARES.filter(([, what]) => what !== "lossy").map(([, what]) => h("li", {}, chip(what))),
      ),
      live.length > 0 && card(`Live: ${live.length}`, null, sessionList(live)),
      card(
        "Past",
        null,
        past.length ? sessionList(past) : h("p", { class: "soft" }, "None yet."),
        more &&
          h(
            "p",
            { class: "actions" },
            h("button", { type: "button", onclick: further, "data-key": "further" }, "Show earlier ones"),
          ),
      ),
    );
  }

  return { update };
}

export function sessionList(sessions) {
  return h("ul", { class: "sessions" }, sessions.map(line));
}

function line(session) {
  const calls = session.calls ?? 0;
  const lasted = session.live
    ? "live now"
    : session.ended_at === null
      ? "without an end"
      : seconds(session.ended_at - session.started_at);
  const answered = (session.hits ?? 0) + (session.joins ?? 0);
  return h(
    "li",
    {},
    h(
      "a",
      { href: `#/session?id=${encodeURIComponent(session.session)}`, "data-key": session.session },
      h(
        "span",
        {},
        h("span", { class: "who" }, session.server),
        h("br"),
        h("span", { class: "soft" }, session.client || "unnamed client"),
      ),
      h(
        "span",
        {},
        moment(session.started_at),
        h("br"),
        h("span", { class: "soft" }, session.live && h("span", { class: "dot live" }), lasted),
      ),
      h(
        "span",
        {},
        h(
          "span",
          { class: "soft" },
          calls ? `${count(calls, "call")}, ${share(answered, calls)} ahead` : "no calls",
        ),
        shares(session, calls),
      ),
      h(
        "span",
        { class: "right" },
        h("strong", {}, seconds(session.saved_s ?? 0)),
        h("br"),
        h("span", { class: "soft" }, "saved"),
      ),
    ),
  );
}

function shares(session, calls) {
  return h(
    "span",
    { class: "shares", "aria-hidden": "true" },
    calls > 0 &&
      SHARES.filter(([key]) => session[key]).map(([key, what]) =>
        h("span", { class: what, style: { flex: `${session[key]}` } }),
      ),
  );
}
