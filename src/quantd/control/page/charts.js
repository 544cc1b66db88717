// Line charts in SVG: a line over time with its gaps, marks for fills, and a reading where the pointer is.

import { clock, exact } from "/page/numbers.js";

const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = 220;
const [TOP, BOTTOM, LEFT] = [14, 24, 4];
const LETTER = 7.2; // width of a digit of the axis
const STEPS_S = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600];

function draw(tag, attributes, text = "") {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.textContent = text;
  return made;
}

/** Round numbers between two: for the axis, three to six of them. */
function ticks(low, high) {
  const rough = (high - low) / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((one) => one * power >= rough) * power;
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  const found = [];
  for (let count = Math.ceil(low / step); count * step <= high; count += 1) found.push(count * step);
  return { found, digits };
}

/**
 * Draws points [{at, value}] (milliseconds, number or null) into an element; marks are [{at, value, side, title}].
 * `name` is what a screen reader says before the last value, `digits` how many the last value has after its point.
 */
export function chart(place, { name, points, marks = [], digits = 2 }) {
  watch(place);
  place.again = () => chart(place, { name, points, marks, digits });
  const known = points.filter((point) => point.value !== null);
  if (known.length < 2) {
    place.replaceChildren(document.createTextNode("The line begins with the second value."));
    return;
  }
  const scale = scaled(place, known, marks, digits);
  const shown = (value) => exact(value.toFixed(digits), digits);
  const last = known.at(-1);
  const told = `${name}: ${shown(last.value)}, between ${shown(scale.least)} and ${shown(scale.most)}`;
  const picture = draw("svg", { width: scale.width, height: HEIGHT, role: "img", "aria-label": told });
  drawAxes(picture, scale, last);
  for (const run of runs(points)) drawRun(picture, scale, run);
  for (const mark of scale.marks) picture.append(triangle(scale.x(mark.at), scale.y(mark.value), mark));
  drawTag(picture, scale, scale.y(last.value), shown(last.value));
  if (place.pointedAt !== null) drawReading(picture, scale, nearest(known, scale, place.pointedAt), shown);
  place.replaceChildren(picture);
}

function scaled(place, known, marks, digits) {
  const [begin, end] = [known[0].at, known.at(-1).at];
  const inside = marks.filter((mark) => mark.at >= begin && mark.at <= end);
  const values = [...known, ...inside].map((point) => point.value);
  const [least, most] = [Math.min(...values), Math.max(...values)];
  const room = (most - least) * 0.12 || Math.abs(most) * 0.001 || 1;
  const [low, high] = [least - room, most + room];
  const width = Math.max(place.clientWidth, 200);
  const right = width - LETTER * exact(most.toFixed(digits), digits).length - 16;
  const x = (at) => LEFT + ((at - begin) / (end - begin || 1)) * (right - LEFT);
  const y = (value) => TOP + ((high - value) / (high - low)) * (HEIGHT - TOP - BOTTOM);
  return { begin, end, low, high, least, most, width, right, x, y, marks: inside };
}

function drawAxes(picture, { begin, end, low, high, right, x, y }, last) {
  const { found, digits } = ticks(low, high);
  for (const value of found) {
    picture.append(draw("line", { class: "grid", x1: LEFT, x2: right, y1: y(value), y2: y(value) }));
    if (Math.abs(y(value) - y(last.value)) < 15) continue; // the tag stands there
    picture.append(draw("text", { class: "axis", x: right + 10, y: y(value) + 4 }, exact(value.toFixed(digits), digits)));
  }
  const most = Math.max(2, (right - LEFT) / 110);
  const step = 1000 * (STEPS_S.find((one) => (end - begin) / 1000 / one <= most) ?? 7200);
  for (let at = Math.ceil(begin / step) * step; at <= end; at += step) {
    if (x(at) < 28 || x(at) > right - 28) continue;
    picture.append(
      draw("line", { class: "grid", x1: x(at), x2: x(at), y1: HEIGHT - BOTTOM, y2: HEIGHT - BOTTOM + 4 }),
      draw("text", { class: "axis middle", x: x(at), y: HEIGHT - 6 }, clock(at * 1e6)),
    );
  }
}

/** Stretches of points without a gap. */
function runs(points) {
  const found = [[]];
  for (const point of points) {
    if (point.value !== null) found.at(-1).push(point);
    else if (found.at(-1).length) found.push([]);
  }
  return found.filter((run) => run.length);
}

function drawRun(picture, { x, y }, run) {
  const pen = run.map(({ at, value }) => `${x(at).toFixed(1)} ${y(value).toFixed(1)}`).join("L");
  const floor = HEIGHT - BOTTOM;
  const [from, to] = [x(run[0].at).toFixed(1), x(run.at(-1).at).toFixed(1)];
  picture.append(
    draw("path", { class: "area", d: `M${from} ${floor}L${pen}L${to} ${floor}Z` }),
    draw("path", { class: "line", d: `M${pen}` }),
  );
}

function drawTag(picture, { right, width }, y, text) {
  picture.append(
    draw("rect", { class: "tag", x: right + 4, y: y - 9, width: width - right - 4, height: 18, rx: 3 }),
    draw("text", { class: "tag", x: right + 10, y: y + 4 }, text),
  );
}

/** Buys point up and lie below the price, sells point down and lie above: told apart without colour. */
function triangle(x, y, { side, title }) {
  const down = side === "sell" ? -1 : 1;
  const corners = [[x, y + 3 * down], [x - 5, y + 12 * down], [x + 5, y + 12 * down]];
  const mark = draw("polygon", { class: `fill ${side}`, points: corners.map((one) => one.join(",")).join(" ") });
  mark.append(draw("title", {}, title));
  return mark;
}

function nearest(known, { x }, wanted) {
  return known.reduce((best, one) => (Math.abs(x(one.at) - wanted) < Math.abs(x(best.at) - wanted) ? one : best));
}

function drawReading(picture, { x, y, right }, { at, value }, shown) {
  const end = x(at) > right / 2;
  picture.append(
    draw("line", { class: "pointed", x1: x(at), x2: x(at), y1: TOP, y2: HEIGHT - BOTTOM }),
    draw("circle", { class: "pointed", cx: x(at), cy: y(value), r: 3.5 }),
    draw("text", { class: end ? "reading end" : "reading", x: x(at) + (end ? -8 : 8), y: 11 }, `${clock(at * 1e6)} UTC  ${shown(value)}`),
  );
}

function watch(place) {
  if (place.again) return;
  place.pointedAt = null;
  const point = (to) => {
    place.pointedAt = to;
    place.again();
  };
  place.addEventListener("pointermove", (event) => point(event.clientX - place.getBoundingClientRect().left));
  place.addEventListener("pointerleave", () => point(null));
  new ResizeObserver(() => place.again()).observe(place);
}
