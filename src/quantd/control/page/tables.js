// Elements and tables. Rows are kept by key, so that a focused button survives the next second.

export const by = (id) => document.getElementById(id);

/** Makes an element; children are elements or text, never markup. */
export function make(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in made) made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

/** Sets text only where it changed: a screen reader speaks what is set. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Sets the level (`good`, `warn`, `bad` or none) by which an element is coloured. */
export function rate(element, level = "") {
  if (element.dataset.level !== level) element.dataset.level = level;
}

/**
 * Fills a table. Columns are [heading, value of a row, class]; a value is text, or {text, title, level, share}, or a function
 * that makes an element once for each key. A `share` from 0 to 1 goes to the style sheet, which draws a bar. `empty` is what an empty table says,
 * `open` what a click on a row does; a button in the row does the same for the keyboard.
 */
export function fill(table, { columns, rows, key, empty, open }) {
  if (!table.tHead) build(table, columns, empty);
  table.classList.toggle("empty", !rows.length);
  table.classList.toggle("opens", Boolean(open));
  const body = table.tBodies[0];
  const wanted = new Set();
  rows.forEach((row, place) => {
    const name = key(row);
    wanted.add(name);
    let line = table.kept.get(name);
    if (!line) {
      line = make("tr", {}, ...columns.map(([, , kind = ""]) => make("td", { className: kind })));
      if (open) line.addEventListener("click", () => open(row));
      table.kept.set(name, line);
    }
    columns.forEach(([, value], index) => put(line.cells[index], value(row)));
    if (body.rows[place] !== line) body.insertBefore(line, body.rows[place] ?? null);
  });
  for (const [name, line] of table.kept) {
    if (!wanted.has(name)) {
      line.remove();
      table.kept.delete(name);
    }
  }
  const region = table.parentElement; // reached by the keyboard only where there is something to scroll
  if (region.scrollWidth > region.clientWidth) region.tabIndex = 0;
  else region.removeAttribute("tabindex");
}

function build(table, columns, empty) {
  const headings = columns.map(([heading, , kind = ""]) => make("th", { scope: "col", className: kind }, heading));
  const none = make("td", { colSpan: columns.length }, empty);
  table.append(make("thead", {}, make("tr", {}, ...headings)), make("tbody"), make("tfoot", {}, make("tr", {}, none)));
  table.kept = new Map();
}

function put(cell, value) {
  if (typeof value === "function") {
    if (!cell.firstChild) cell.append(value());
    return;
  }
  const { text, title = "", level = "", share } = value !== null && typeof value === "object" ? value : { text: value };
  if (share !== undefined) cell.style.setProperty("--share", share);
  say(cell, text);
  if (cell.title !== title) cell.title = title;
  rate(cell, level);
}
