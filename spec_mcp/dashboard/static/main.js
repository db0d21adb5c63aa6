// The frame around the pages: which one is shown, the theme, and news of what was written.
import { ask } from "./api.js";
import { redrawAll } from "./charts.js";
import { fill, h, notice } from "./dom.js";
import * as manifests from "./pages/manifests.js";
import * as overview from "./pages/overview.js";
import * as predictions from "./pages/predictions.js";
import * as review from "./pages/review.js";
import * as session from "./pages/session.js";
import * as sessions from "./pages/sessions.js";
import * as tools from "./pages/tools.js";
import * as tuning from "./pages/tuning.js";
import * as undo from "./pages/undo.js";

const PAGES = {
  "": { page: overview, title: "Overview" },
  sessions: { page: sessions, title: "Sessions" },
  session: { page: session, title: "Session", below: "sessions" },
  tools: { page: tools, title: "Tools" },
  predictions: { page: predictions, title: "Predictions" },
  tuning: { page: tuning, title: "Tuning" },
  undo: { page: undo, title: "Undo journal" },
  manifests: { page: manifests, title: "Manifests" },
  review: { page: review, title: "Review", below: "manifests" },
};
const THEMES = { auto: "Theme: system", light: "Theme: light", dark: "Theme: dark" };
const UPDATE_EVERY_MS = 500;

const main = document.getElementById("main");
const state = document.getElementById("state");
let shown = null;
let mode = "";
let open = 0;
let link = "lost";

// --- pages ------------------------------------------------------------------------------------------------------------

function address() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  return { name: path in PAGES ? path : "", parameters: new URLSearchParams(query) };
}

function show(focus) {
  const { name, parameters } = address();
  const { page, title, below } = PAGES[name];
  shown?.close?.();
  const context = {
    parameters,
    go(next, to = name) {
      const query = new URLSearchParams(Object.entries(next).filter(([, value]) => value));
      location.hash = `#/${to}${query.size ? `?${query}` : ""}`;
    },
    retitle(words) {
      document.title = `${words} · spec-mcp`;
    },
  };
  context.retitle(title);
  const root = h("div", {});
  fill(main, root);
  shown = page.open(root, context);
  for (const link of document.querySelectorAll("#pages a")) {
    if (link.dataset.name === (below ?? name)) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.querySelector("#pages [aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
  if (focus) main.focus({ preventScroll: true });
  window.scrollTo(0, 0);
  update();
}

let updating = false;
let again = false;

/** Has the page look anew; never twice at once, and not more often than a person can follow. */
async function update() {
  if (updating) {
    again = true;
    return;
  }
  updating = true;
  const page = shown;
  try {
    await page.update?.();
    page.failed?.remove();
    page.failed = null;
  } catch (error) {
    if (page === shown) {
      page.failed?.remove();
      page.failed = notice("bad", error.message);
      main.prepend(page.failed);
    }
  }
  setTimeout(() => {
    updating = false;
    if (again) {
      again = false;
      update();
    }
  }, page === shown ? UPDATE_EVERY_MS : 0);
}

async function countOpen() {
  try {
    open = (await ask("undos")).entries.filter((entry) => entry.state === "stuck").length;
  } catch {
    return; // the page says what is wrong
  }
  frame();
}

// --- the frame --------------------------------------------------------------------------------------------------------

function frame() {
  const words = { live: "live", lost: "not connected" }[link];
  fill(
    state,
    mode && h("span", { title: "spec-mcp on, shadow or off switches it" }, h("span", { class: "wide" }, "Mode "), h("strong", {}, mode)),
    h("span", {}, h("span", { class: `dot ${link}` }), words),
  );
  const badge = document.querySelector('#pages [data-name="undo"] .count');
  if (badge) {
    badge.hidden = open === 0;
    badge.textContent = open;
    badge.setAttribute("aria-label", `${open} stuck`);
  }
}

function theme() {
  let chosen = "auto";
  try {
    chosen = localStorage.getItem("theme") ?? "auto";
  } catch {
    // nothing is kept here
  }
  return chosen in THEMES ? chosen : "auto";
}

function dress(chosen) {
  document.documentElement.dataset.theme = chosen;
  document.getElementById("theme").textContent = THEMES[chosen];
  redrawAll();
}

document.getElementById("theme").addEventListener("click", () => {
  const names = Object.keys(THEMES);
  const next = names[(names.indexOf(theme()) + 1) % names.length];
  try {
    localStorage.setItem("theme", next);
  } catch {
    // it holds until the page is closed
  }
  dress(next);
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redrawAll);

fill(
  document.getElementById("pages"),
  Object.entries(PAGES)
    .filter(([, { below }]) => !below)
    .map(([name, { title }]) =>
      h("a", { href: `#/${name}`, "data-name": name }, title, name === "undo" && h("span", { class: "count", hidden: true })),
    ),
);

// --- news -------------------------------------------------------------------------------------------------------------

function listen() {
  const events = new EventSource("api/events");
  let first = true;
  events.addEventListener("changed", (event) => {
    const said = JSON.parse(event.data);
    link = said.trouble ? "lost" : "live";
    mode = said.mode ?? mode;
    frame();
    countOpen();
    if (!first) update();
    first = false;
  });
  events.addEventListener("error", () => {
    link = "lost";
    frame();
  });
}

window.addEventListener("hashchange", () => show(true));
dress(theme());
frame();
show(false);
listen();

