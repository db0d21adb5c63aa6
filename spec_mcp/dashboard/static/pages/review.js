// Reviewing a manifest: what each tool does, what would be written, and a yes to each line that trusts more.
import { act, ask } from "../api.js";
import { card, fill, h, notice, table } from "../dom.js";
import { count } from "../format.js";
import { effectBadge } from "./manifests.js";

export function open(root, context) {
  const name = context.parameters.get("name") ?? "";
  const server = context.parameters.get("server") ?? "";
  const said = h("div", { "aria-live": "polite" });
  const body = h("div", {});
  const shown = h("div", {});
  const decisions = {};
  let form = null;
  let isReviewed = false;
  fill(
    root,
    h("p", {}, h("a", { href: "#/manifests" }, "← All manifests")),
    h(
      "div",
      { class: "head" },
      h(
        "div",
        {},
        h("h1", {}, `Review ${name}`),
        h(
          "p",
          { class: "lead" },
          "Read what each tool really does, then say so here. Nothing is written before you have seen the difference and said yes to each line that trusts more.",
        ),
      ),
    ),
    said,
    body,
    shown,
  );

  async function update() {
    if (form) return; // what a person is writing is not taken away
    form = await ask("manifest", { name, server });
    draw();
  }

  function draw() {
    fill(
      body,
      form.fault && notice("bad", form.fault),
      form.shipped &&
        notice(
          "",
          "This manifest is shipped with spec-mcp: a review is written to a copy of your own, which comes before it.",
        ),
      !form.server &&
        notice(
          "",
          "Opened without a server of your record: definitions cannot be locked here. Use spec-mcp manifest lock, or open it from a server's card.",
        ),
      card("Tools", h("span", {}, "In ", h("code", {}, form.file)), rows()),
      h(
        "label",
        { class: "check" },
        h("input", {
          type: "checkbox",
          checked: isReviewed,
          onchange: (event) => (isReviewed = event.target.checked),
          "data-key": "reviewed",
        }),
        h("span", {}, "I have read what all of these tools do: note today's date as the day of the review."),
      ),
      h(
        "div",
        { class: "actions" },
        h(
          "button",
          {
            type: "button",
            class: "primary",
            onclick: preview,
            disabled: Boolean(form.fault),
            "data-key": "preview",
          },
          "Show what would be written",
        ),
      ),
    );
  }

  function decide(tool, key, value) {
    decisions[tool] = { ...decisions[tool], [key]: value };
    fill(shown); // what was shown is not what would be written any more
  }

  function rows() {
    return h(
      "div",
      { class: "review" },
      table(
        "Tools to review",
        [
          {
            title: "Tool",
            class: "name",
            of: (row) => [
              h("strong", {}, row.tool),
              h("br"),
              h("span", { class: "soft" }, row.calls ? count(row.calls, "call") : "not called yet"),
            ],
          },
          { title: "Now", of: (row) => effectBadge(row.effect) },
          { title: "Effect", of: effect },
          { title: "Good for (s)", of: ttl },
          { title: "Touches, one a line", of: touches },
          { title: "Definition", of: lock },
        ],
        form.tools,
      ),
    );
  }

  function effect(row) {
    const listed = row.effect === "unlisted" ? "unsafe" : row.effect;
    const choices = [
      "unsafe",
      "read",
      ...(row.can_reverse || row.effect === "reversible" ? ["reversible"] : []),
    ];
    return h(
      "select",
      {
        "aria-label": `Effect of ${row.tool}`,
        onchange: (event) => decide(row.tool, "effect", event.target.value),
      },
      choices.map((value) => h("option", { value, selected: value === listed }, value)),
    );
  }

  function ttl(row) {
    return h("input", {
      type: "number",
      min: "0",
      step: "any",
      "aria-label": `How old an answer of ${row.tool} may be, in seconds`,
      value: row.ttl_s ?? "",
      placeholder: "–",
      onchange: (event) =>
        decide(row.tool, "ttl_s", event.target.value === "" ? null : Number(event.target.value)),
    });
  }

  function touches(row) {
    return h("textarea", {
      rows: 1,
      "aria-label": `What ${row.tool} touches, one resource a line`,
      placeholder: "everything of the server",
      value: (row.touches ?? []).join("\n"),
      onchange: (event) =>
        decide(
          row.tool,
          "touches",
          event.target.value
            .split("\n")
            .map((line) => line.trim())
            .filter(Boolean),
        ),
    });
  }

  function lock(row) {
    const words = {
      reviewed: "locked, as reviewed",
      changed: "changed since its review",
      unlocked: "not locked",
      unseen: "not seen yet",
      "": "",
    }[row.definition];
    if (!row.can_lock || row.definition === "reviewed") return h("span", { class: "soft" }, words);
    return h(
      "label",
      { class: "check" },
      h("input", {
        type: "checkbox",
        "aria-label": `Lock ${row.tool} as it was seen`,
        onchange: (event) => decide(row.tool, "lock", event.target.checked),
      }),
      h(
        "span",
        {},
        row.definition === "changed" ? h("span", { class: "badge changed" }, words) : words,
        h("br"),
        h("span", { class: "soft" }, "lock it as it was seen"),
      ),
    );
  }

  function asked(more) {
    return { manifest: name, server, tools: decisions, reviewed: isReviewed, ...more };
  }

  async function preview() {
    fill(said);
    try {
      offer(await act("review", asked({})));
    } catch (error) {
      fill(shown, notice("bad", error.message));
    }
  }

  function offer(told) {
    if (!told.difference.length) {
      fill(shown, notice("", "Nothing would change."));
      return;
    }
    const confirmed = new Set();
    const write = h(
      "button",
      {
        type: "button",
        class: "primary",
        disabled: told.widened.length > 0,
        "data-key": "write",
        onclick: () => save(told, [...confirmed]),
      },
      `Write ${told.file.split("/").pop()}`,
    );
    const tick = (line) => (event) => {
      if (event.target.checked) confirmed.add(line);
      else confirmed.delete(line);
      write.disabled = confirmed.size < told.widened.length;
    };
    fill(
      shown,
      card(
        "What would be written",
        h("span", {}, "To ", h("code", {}, told.file)),
        difference(told.difference),
        told.widened.length > 0 && [
          h("h3", {}, "With this, spec-mcp trusts more. Say yes to each:"),
          told.widened.map((line) =>
            h(
              "label",
              { class: "check" },
              h("input", { type: "checkbox", onchange: tick(line) }),
              h("span", {}, line),
            ),
          ),
        ],
        h("div", { class: "actions" }, write),
      ),
    );
    write.scrollIntoView({ block: "nearest" });
  }

  async function save(told, widen) {
    try {
      const done = await act("review", asked({ digest: told.digest, widen }));
      fill(shown);
      for (const tool of Object.keys(decisions)) delete decisions[tool];
      form = null;
      await update();
      fill(
        said,
        notice(
          "good",
          `Written: ${done.file}. A running gateway follows at once, a wrapped server at its next start.`,
        ),
      );
      said.scrollIntoView({ block: "nearest" });
    } catch (error) {
      fill(said, notice("bad", error.message));
    }
  }

  return { update };
}

function difference(lines) {
  const element = { "+": "ins", "-": "del" };
  return h(
    "pre",
    { class: "difference" },
    lines.map((line) =>
      element[line[0]] && !line.startsWith("+++") && !line.startsWith("---")
        ? h(element[line[0]], {}, line)
        : `${line}\n`,
    ),
  );
}
