// Early results held against later ones, and where they differed.
import { ask } from "../api.js";
import { card, chip, empty, fill, h, notice, table } from "../dom.js";
import { argumentsText, count, moment, number, pretty, seconds } from "../format.js";

export function open(root) {
  const body = h("div", {});
  const expanded = new Set();
  fill(
    root,
    h(
      "div",
      { class: "head" },
      h(
        "div",
        {},
        h("h1", {}, "Comparisons"),
        h(
          "p",
          { class: "lead" },
          "Early results held against later ones: in shadow mode for every speculation that a call would have used, and as a check of some that were used.",
        ),
      ),
    ),
    body,
  );

  async function update() {
    const told = await ask("comparisons");
    if (!told.tools.length) {
      fill(
        body,
        h(
          "section",
          { class: "card" },
          empty(
            "Nothing was compared yet",
            h(
              "span",
              {},
              "In shadow mode (",
              h("code", {}, "spec-mcp shadow"),
              ") every call gets its real answer, and this page shows whether the early one was the same.",
            ),
          ),
        ),
      );
      return;
    }
    const demoted = told.tools.filter((row) => row.demoted);
    fill(
      body,
      demoted.length > 0 &&
        notice(
          "bad",
          `${demoted.map((row) => row.tool).join(", ")}: results differed, so nothing is made ahead there any more, until the manifest entry changes or you say `,
          h("code", {}, "spec-mcp forget --demotions"),
          ".",
        ),
      card("By tool", null, byTool(told.tools)),
      card(
        "Where they differed",
        told.differences.length ? "The newest first; both results side by side." : "Nowhere.",
        told.differences.map((row, index) => difference(row, `${row.at} ${index}`, expanded)),
      ),
    );
  }

  return { update };
}

function byTool(rows) {
  return table(
    "Comparisons by tool",
    [
      {
        title: "Tool",
        class: "name",
        of: (row) => [h("strong", {}, row.tool), " ", h("span", { class: "soft" }, row.server)],
      },
      { title: "Compared", right: true, of: (row) => number(row.compared) },
      { title: "Same", right: true, of: (row) => number(row.same) },
      { title: "Only passing values", right: true, of: (row) => number(row.passing) },
      {
        title: "Different",
        right: true,
        of: (row) => (row.different ? chip("stuck", number(row.different)) : "0"),
      },
      { title: "Would save", right: true, of: (row) => seconds(row.would_save_s) },
      {
        title: "Where",
        class: "name",
        of: (row) => row.places.slice(0, 4).map((place) => [h("code", {}, place), " "]),
      },
    ],
    rows,
  );
}

function difference(row, key, expanded) {
  const side = (title, text, size) =>
    h(
      "div",
      {},
      h("h3", {}, title),
      h("pre", {}, text === null ? `${count(size, "byte")}, not kept` : pretty(text)),
    );
  const flip = (event) => (event.target.open ? expanded.add(key) : expanded.delete(key));
  return h(
    "details",
    { class: "more", open: expanded.has(key), ontoggle: flip },
    h(
      "summary",
      {},
      `${row.server} ${row.tool}, ${moment(row.at)}, ${row.is_check ? "a check" : "shadow mode"}: ${row.passes ? "only values that go with the time" : "differs"} `,
      row.places.slice(0, 4).map((place) => [h("code", {}, place), " "]),
    ),
    h("p", { class: "soft" }, argumentsText(row.arguments)),
    h(
      "div",
      { class: "two" },
      side("Early", row.early, row.early_bytes),
      side("Later", row.real, row.real_bytes),
    ),
  );
}
