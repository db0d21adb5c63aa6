// The undo journal: early writes that are neither used nor taken back.
import { act, ask } from "../api.js";
import { chip, empty, facts, fill, h, notice } from "../dom.js";
import { count, moment } from "../format.js";

export function open(root, context) {
  const said = h("div", { "aria-live": "polite" });
  const body = h("div", {});
  const confirming = new Set();
  let trying = "";
  let entries = [];
  fill(
    root,
    h(
      "div",
      { class: "head" },
      h(
        "div",
        {},
        h("h1", {}, "Undo journal"),
        h(
          "p",
          { class: "lead" },
          "An early write is noted here before it is made, and leaves the journal when a call uses it or it is taken back. What cannot be taken back for certain is stuck, and waits for you.",
        ),
      ),
    ),
    said,
    body,
  );

  async function update() {
    entries = (await ask("undos")).entries;
    draw();
  }

  function draw() {
    if (!entries.length) {
      fill(
        body,
        h(
          "section",
          { class: "card" },
          empty(
            "Nothing is open",
            "Every early write was used or taken back.",
            h(
              "span",
              {},
              "Writes are made early only with ",
              h("code", {}, "[speculation] reversible = true"),
              " and a manifest that knows how to take them back.",
            ),
          ),
        ),
      );
      return;
    }
    const stuck = entries.filter((entry) => entry.state === "stuck");
    const others = entries.filter((entry) => entry.state !== "stuck");
    fill(body, [...stuck, ...others].map(show));
  }

  function show(entry) {
    return h(
      "section",
      { class: "card entry" },
      h(
        "h2",
        {},
        entry.state === "stuck" ? chip("stuck", "stuck") : chip("compensated", entry.stage),
        h("span", {}, `${entry.server} ${entry.tool}`),
      ),
      facts([
        ["Why", entry.state === "stuck" ? entry.words : null],
        ["Made", moment(entry.made_at)],
        ["Taken back by", entry.undo],
        ["Undos sent", entry.undo_sent ? String(entry.undo_sent) : null],
        ["Session", h("a", { href: `#/session?id=${encodeURIComponent(entry.session)}` }, entry.session)],
        ["Entry", h("span", { class: "mono" }, entry.id)],
      ]),
      h("h3", {}, "What was written"),
      h("pre", {}, entry.arguments ?? "cannot be shown"),
      h(
        "details",
        { class: "more" },
        h("summary", {}, "The state before, and the server's answer"),
        h("h3", {}, "Before"),
        h("pre", {}, entry.before ?? "not known"),
        h("h3", {}, "Answer"),
        h("pre", {}, entry.result ?? "not known"),
      ),
      entry.running
        ? h(
            "p",
            { class: "soft" },
            `A running spec-mcp has this entry. To settle it, end the client that uses ${entry.server} first.`,
          )
        : actions(entry),
    );
  }

  function actions(entry) {
    const confirm = (on) => () => {
      if (on) confirming.add(entry.id);
      else confirming.delete(entry.id);
      draw();
    };
    if (confirming.has(entry.id)) {
      return h(
        "div",
        { class: "notice bad" },
        h(
          "p",
          {},
          `Close it only when you have looked at ${entry.server} yourself, and what was written there is as you want it. Nothing is changed at the server; calls that touch the same go on again.`,
        ),
        h(
          "div",
          { class: "actions" },
          h(
            "button",
            { type: "button", class: "danger", onclick: () => close(entry), "data-key": `close ${entry.id}` },
            "I have settled it: close the entry",
          ),
          h("button", { type: "button", onclick: confirm(false), "data-key": `keep ${entry.id}` }, "Keep it"),
        ),
      );
    }
    return h(
      "div",
      { class: "actions" },
      h(
        "button",
        {
          type: "button",
          class: "primary",
          disabled: trying !== "",
          onclick: () => recover(entry),
          "data-key": `recover ${entry.id}`,
        },
        trying === entry.server ? "Taking back…" : "Take it back now",
      ),
      h(
        "button",
        { type: "button", onclick: confirm(true), "data-key": `settle ${entry.id}` },
        "Settle by hand…",
      ),
      h(
        "span",
        { class: "soft" },
        `Taking back starts ${entry.server}, as spec-mcp recover does, and undoes it only if nothing else has changed.`,
      ),
    );
  }

  async function recover(entry) {
    trying = entry.server;
    draw();
    try {
      const { entries: ends } = await act("recover", { server: entry.server });
      const settled = ends.filter((end) => end.end === "settled").length;
      const open = ends.filter((end) => end.end !== "settled");
      fill(
        said,
        settled > 0 && notice("good", `${count(settled, "entry")} settled: nothing of it is left.`),
        open.map((end) =>
          notice("bad", `${end.server} ${end.tool} is ${end.end}${end.why ? `: ${end.why}` : ""}.`),
        ),
      );
    } catch (error) {
      fill(said, notice("bad", error.message));
    }
    trying = "";
    await update();
  }

  async function close(entry) {
    try {
      const { closed } = await act("close-undo", { id: entry.id });
      fill(said, notice("good", `Closed: ${closed}. Nothing was changed at the server.`));
      confirming.delete(entry.id);
    } catch (error) {
      fill(said, notice("bad", error.message));
    }
    await update();
  }

  return { update };
}
