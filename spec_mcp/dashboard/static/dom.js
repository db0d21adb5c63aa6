// Elements. What comes from servers and models is only ever put in as text.

/** An element; `on…` are listeners, `null`, `undefined` and `false` leave an attribute or a child out. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style")
      for (const [key, text] of Object.entries(value)) element.style.setProperty(key, text);
    else if (name in element && typeof value === "boolean") element[name] = value;
    else if (name === "value") element.value = value;
    else element.setAttribute(name, value);
  }
  append(element, children);
  return element;
}

function append(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : String(child));
  }
}

/** Puts other children into an element. What had the focus has it again, if something of the same `data-key` is there. */
export function fill(element, ...children) {
  const focused = element.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  element.replaceChildren();
  append(element, children);
  if (focused) element.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
  return element;
}

export function card(title, lead, ...children) {
  return h(
    "section",
    { class: "card" },
    h("h2", {}, title),
    lead && h("p", { class: "lead" }, lead),
    children,
  );
}

export function empty(title, ...lines) {
  return h(
    "div",
    { class: "empty" },
    h("strong", {}, title),
    lines.map((line) => h("p", {}, line)),
  );
}

export function notice(kind, ...children) {
  return h(
    "div",
    { class: `notice ${kind}`, role: kind === "bad" ? "alert" : "status" },
    h("p", {}, children),
  );
}

export function chip(what, words = what) {
  return h("span", { class: `chip ${what}` }, words);
}

/** One number and what it says, for a `dl` of class `tiles`. */
export function tile(title, big, small) {
  return h(
    "div",
    { class: "tile" },
    h("dt", {}, title),
    h("dd", {}, h("div", { class: "big" }, big), h("div", { class: "soft" }, small)),
  );
}

export function facts(pairs) {
  const shown = pairs.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return h(
    "dl",
    { class: "facts" },
    shown.map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]),
  );
}

/** A table of `columns` ({title, of, right, sort}); a click on the title of a column with `sort` sorts by it. */
export function table(caption, columns, rows, state = {}) {
  const root = h("div", { class: "scroll" });
  const draw = () => {
    const by = columns.find((column) => column.title === state.by);
    const sorted = by
      ? [...rows].sort((a, b) => compare(by.sort(a), by.sort(b)) * (state.down ? -1 : 1))
      : rows;
    const heads = columns.map((column) => {
      const direction = state.by === column.title ? (state.down ? "descending" : "ascending") : null;
      const sort = () => {
        state.down = state.by === column.title ? !state.down : true;
        state.by = column.title;
        draw();
      };
      const title = column.sort
        ? h("button", { type: "button", onclick: sort, "data-key": `sort ${column.title}` }, column.title)
        : column.title;
      return h("th", { scope: "col", class: column.right ? "right" : "", "aria-sort": direction }, title);
    });
    const lines = sorted.map((row) =>
      h(
        "tr",
        {},
        columns.map((column) =>
          h(
            "td",
            { class: column.class ?? (column.right ? "right" : ""), "data-title": column.title },
            column.of(row),
          ),
        ),
      ),
    );
    fill(
      root,
      h("table", { "aria-label": caption }, h("thead", {}, h("tr", {}, heads)), h("tbody", {}, lines)),
    );
  };
  draw();
  return root;
}

function compare(a, b) {
  return typeof a === "string" ? a.localeCompare(b) : a - b;
}
