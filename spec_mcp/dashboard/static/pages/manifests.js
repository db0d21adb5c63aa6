// Manifests, and how much of what your servers are asked for they cover.
import { ask } from "../api.js";
import { card, empty, fill, h, table } from "../dom.js";
import { number, share } from "../format.js";

const EFFECTS = ["read", "reversible", "unsafe", "unlisted"];
const DEFINITIONS = {
  reviewed: "as reviewed",
  changed: "changed since its review",
  unlocked: "not locked",
  unseen: "not seen yet",
  "": "",
};

export function open(root) {
  const body = h("div", {});
  fill(
    root,
    h(
      "div",
      { class: "head" },
      h(
        "div",
        {},
        h("h1", {}, "Manifests"),
        h(
          "p",
          { class: "lead" },
          "A manifest says what each tool of a server does to the world. Only what it calls a read may be made early; what it does not list is unsafe, which costs speed alone.",
        ),
      ),
    ),
    body,
  );

  async function update() {
    const told = await ask("manifests");
    fill(
      body,
      told.servers.length
        ? told.servers.map(server)
        : h(
            "section",
            { class: "card" },
            empty(
              "No server is in the record yet",
              "Once a server was used, this says which of its tools a manifest covers.",
            ),
          ),
      card("All manifests", "Your own come before those that are shipped.", list(told.manifests)),
    );
  }

  return { update };
}

function server(found) {
  const calls = EFFECTS.map((effect) => found.calls[effect] ?? 0);
  const all = calls.reduce((sum, part) => sum + part, 0);
  const reads = found.tools.filter((tool) => tool.effect === "read").length;
  const changed = found.tools.filter((tool) => tool.definition === "changed");
  const link =
    found.manifest &&
    `#/review?name=${encodeURIComponent(found.manifest)}&server=${encodeURIComponent(found.server)}`;
  return h(
    "section",
    { class: "card" },
    h("h2", {}, found.server),
    h(
      "p",
      { class: "lead" },
      found.manifest
        ? [
            `Manifest `,
            h("strong", {}, found.manifest),
            ` (${found.how}). ${reads} of ${found.tools.length} tools are reads`,
            all ? `, and ${share(calls[0], all)} of its calls.` : ".",
          ]
        : found.how !== "none"
          ? `Its manifest cannot be used: ${found.how}`
          : [
              "No manifest speaks for it, so spec-mcp is a plain proxy in front of it. Begin one with ",
              h("code", {}, "spec-mcp manifest draft --save -- COMMAND"),
              "; then it can be reviewed here.",
            ],
    ),
    all > 0 && [
      h(
        "div",
        { class: "coverage", "aria-hidden": "true" },
        EFFECTS.map(
          (effect, index) =>
            calls[index] > 0 && h("span", { class: effect, style: { flex: `${calls[index]}` } }),
        ),
      ),
      h(
        "p",
        { class: "soft" },
        "Calls: ",
        EFFECTS.map((effect, index) => calls[index] > 0 && `${number(calls[index])} ${effect}`)
          .filter(Boolean)
          .join(", "),
      ),
    ],
    changed.length > 0 &&
      h(
        "div",
        { class: "notice bad" },
        h(
          "p",
          {},
          `The definition of ${changed.map((tool) => tool.tool).join(", ")} is not the one that was reviewed: unsafe until it is reviewed again.`,
        ),
      ),
    link &&
      h(
        "p",
        { class: "actions" },
        h(
          "a",
          { href: link, class: "button", "data-key": `review ${found.server}` },
          `Review ${found.manifest}`,
        ),
      ),
    h("details", { class: "more" }, h("summary", {}, `Its ${found.tools.length} tools`), tools(found.tools)),
  );
}

export function effectBadge(effect) {
  return h("span", { class: `badge ${effect}` }, effect);
}

function tools(rows) {
  return table(
    "Tools",
    [
      { title: "Tool", class: "name", of: (row) => row.tool },
      { title: "Effect", of: (row) => effectBadge(row.effect) },
      { title: "Calls", right: true, of: (row) => number(row.calls) },
      { title: "Definition", of: (row) => DEFINITIONS[row.definition] },
    ],
    rows,
  );
}

function list(rows) {
  return table(
    "All manifests",
    [
      {
        title: "Name",
        class: "name",
        of: (row) => h("a", { href: `#/review?name=${encodeURIComponent(row.name)}` }, row.name),
      },
      { title: "Speaks for", class: "name", of: (row) => row.server },
      {
        title: "Tools",
        of: (row) =>
          row.fault
            ? h("span", { class: "badge changed" }, "has a fault")
            : `${row.effects.read} read, ${row.effects.reversible} reversible, ${row.effects.unsafe} unsafe`,
      },
      { title: "Locked", right: true, of: (row) => `${row.locked} of ${row.tools}` },
      { title: "Reviewed", of: (row) => row.reviewed ?? "–" },
      { title: "Whose", of: (row) => (row.shipped ? "shipped" : "yours") },
    ],
    rows,
  );
}
