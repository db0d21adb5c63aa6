// Which part of the record a page shows: how long back, which server, which tool. It stands in the page's address.
import { ask } from "./api.js";
import { fill, h } from "./dom.js";

const PERIODS = [
  ["", "all that is kept"],
  ["1", "the last hour"],
  ["24", "the last day"],
  ["168", "the last week"],
  ["720", "the last month"],
];

export function chosen(parameters) {
  return {
    hours: parameters.get("hours") ?? "",
    server: parameters.get("server") ?? "",
    tool: parameters.get("tool") ?? "",
  };
}

/** The form; `go` is told the parameters that were chosen. */
export function filters(parameters, go) {
  const now = chosen(parameters);
  const form = h("form", { class: "filters", "aria-label": "What is shown" });
  const change = (name, value) => go({ ...now, ...(name === "server" ? { tool: "" } : {}), [name]: value });
  const select = (name, title, choices) =>
    h(
      "label",
      {},
      title,
      h(
        "select",
        {
          "aria-label": title,
          "data-key": `filter ${name}`,
          onchange: (event) => change(name, event.target.value),
        },
        choices.map(([value, words]) => h("option", { value, selected: value === now[name] }, words)),
      ),
    );
  const draw = (parts) => {
    const servers = [...new Set(parts.map((part) => part.server))];
    const tools = [
      ...new Set(parts.filter((part) => !now.server || part.server === now.server).map((part) => part.tool)),
    ];
    const kept = (values, value) => (value && !values.includes(value) ? [...values, value] : values);
    fill(
      form,
      select("hours", "Time", PERIODS),
      select("server", "Server", [
        ["", "all servers"],
        ...kept(servers, now.server).map((name) => [name, name]),
      ]),
      select("tool", "Tool", [["", "all tools"], ...kept(tools, now.tool).map((name) => [name, name])]),
    );
  };
  draw([]);
  ask("parts").then(
    (found) => draw(found.parts),
    () => {},
  );
  return form;
}
