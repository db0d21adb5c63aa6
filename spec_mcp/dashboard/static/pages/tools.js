// Calls and speculations by tool, and why others were not made.
import { ask } from "../api.js";
import { card, empty, fill, h, table } from "../dom.js";
import { chosen, filters } from "../filters.js";
import { number, seconds, share } from "../format.js";
import { skipTable } from "./session.js";

export function open(root, context) {
  const part = chosen(context.parameters);
  const body = h("div", {});
  const sorting = {};
  fill(
    root,
    h(
      "div",
      { class: "head" },
      h(
        "div",
        {},
        h("h1", {}, "Tools"),
        h("p", { class: "lead" }, "Which tools are answered ahead of time, and what holds the others back."),
      ),
      filters(context.parameters, (next) => context.go(next)),
    ),
    body,
  );

  async function update() {
    const told = await ask("tools", part);
    if (!told.tools.length) {
      fill(
        body,
        h(
          "section",
          { class: "card" },
          empty(
            "No call in this part of the record",
            "Choose a longer time, another server, or use a server behind spec-mcp.",
          ),
        ),
      );
      return;
    }
    fill(
      body,
      h("section", { class: "card" }, h("h2", {}, "By tool"), byTool(told.tools, sorting)),
      card(
        "Predictions not acted on",
        told.skips.length
          ? "Why candidates were skipped. Reasons that you can do something about are those of the manifest: unlisted, unsafe, changed, unproven."
          : "None.",
        told.skips.length > 0 && skipTable(told.skips),
      ),
    );
  }

  return { update };
}

function byTool(rows, sorting) {
  return table(
    "Tools",
    [
      {
        title: "Tool",
        class: "name",
        of: (row) => [h("strong", {}, row.tool), " ", h("span", { class: "soft" }, row.server)],
        sort: (row) => row.tool,
      },
      { title: "Calls", right: true, of: (row) => number(row.calls), sort: (row) => row.calls },
      {
        title: "Ahead",
        right: true,
        of: (row) => share(row.hits + row.joins, row.calls),
        sort: (row) => (row.hits + row.joins) / (row.calls || 1),
      },
      { title: "Hits", right: true, of: (row) => number(row.hits), sort: (row) => row.hits },
      { title: "Joins", right: true, of: (row) => number(row.joins), sort: (row) => row.joins },
      { title: "Misses", right: true, of: (row) => number(row.misses), sort: (row) => row.misses },
      {
        title: "Speculations",
        right: true,
        of: (row) => number(row.speculations),
        sort: (row) => row.speculations,
      },
      {
        title: "Wasted",
        right: true,
        of: (row) => share(row.wasted, row.speculations),
        sort: (row) => row.wasted / (row.speculations || 1),
      },
      { title: "Waited", right: true, of: (row) => seconds(row.waited_s), sort: (row) => row.waited_s },
      {
        title: "Saved",
        right: true,
        of: (row) => h("strong", {}, seconds(row.saved_s)),
        sort: (row) => row.saved_s,
      },
    ],
    rows,
    sorting,
  );
}
