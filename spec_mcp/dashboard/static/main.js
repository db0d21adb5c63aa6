// The frame around the pages: which one is shown, the theme, and news of what was written.
import { ask } from "./api.js";
import { redrawAll } from "./charts.js";
import { fill, h, notice } from "./dom.js";
import * as comparisons from "./pages/comparisons.js";
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
  comparisons: { page: comparisons, title: "Comparisons" },
  tuning: { page: tuning, title: "Tuning" },
  undo: { page: undo, title: "Undo journal" },
  manifests: { page: manifests, title: "Manifests" },
  review: { page: review, title: "Review", below: "manifests" },
};
const THEMES = { auto: "Theme: system", light: "Theme: light", dark: "Theme: dark" };
const UPDATE_EVERY_MS = 500;
/** After an answer that took long, so many times as long is waited: a large record is not asked for without a pause. */
const REST = 5;

const main = document.getElementById("main");
const state = document.getElementById("state");
const trouble = h("div", {});
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
  // a filter that was just set leads to the same page: who set it is still there
  const kept = page === shown?.module ? document.activeElement?.dataset.key : undefined;
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
  fill(main, trouble, root);
  fill(trouble);
  turn = null;
  shown = { ...page.open(root, context), module: page };
  for (const link of document.querySelectorAll("#pages a")) {
    if (link.dataset.name === (below ?? name)) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.querySelector("#pages [aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
  const before = kept && main.querySelector(`[data-key="${CSS.escape(kept)}"]`);
  if (before) before.focus({ preventScroll: true });
  else if (focus) main.focus({ preventScroll: true });
  window.scrollTo(0, 0);
  update();
}

/** The look that the shown page is at, or rests from. */
let turn = null;

/** Has the page look anew; never twice at once, and not more often than a person can follow. */
async function update() {
  if (turn?.page === shown) {
    turn.again = true;
    return;
  }
  const mine = (turn = { page: shown, again: false });
  const began = performance.now();
  let words = "";
  try {
    await mine.page.update?.();
  } catch (error) {
    words = error.message;
  }
  if (turn !== mine) return; // another page is shown by now
  fill(trouble, words && notice("bad", words));
  const rest = Math.max(UPDATE_EVERY_MS, REST * (performance.now() - began));
  setTimeout(() => {
    if (turn !== mine) return;
    turn = null;
    if (mine.again) update();
  }, rest);
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
    mode &&
      h(
        "span",
        { title: "spec-mcp on, shadow or off switches it" },
        h("span", { class: "wide" }, "Mode "),
        h("strong", {}, mode),
      ),
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
      h(
        "a",
        { href: `#/${name}`, "data-name": name },
        title,
        name === "undo" && h("span", { class: "count", hidden: true }),
      ),
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
