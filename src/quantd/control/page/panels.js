// Figures, charts and tables: everything that is only looked at.

import { openChain } from "/page/chain.js";
import { chart } from "/page/charts.js";
import { NONE, clock, exact, price, priceDigits, rounded, signed } from "/page/numbers.js";
import { by, fill, make, rate, say } from "/page/tables.js";

const FILLS_SHOWN = 15;
const OLD_S = 5;
const LEVEL = { active: "good", reducing: "warn", halted: "bad", quarantined: "bad", warming_up: "warn" };

const gain = (text) => (Number(text) < 0 ? "bad" : Number(text) > 0 ? "good" : "");
const word = (text) => text.replaceAll("_", " ");
const amount = (text) => ({ text: rounded(text), title: text ?? "" });
const profit = (text) => ({ text: signed(text), title: text ?? "", level: gain(text) });
const side = (text) => ({ text, level: text });

/** An order's id as a button: a click on it is one on its row. */
const orderLink = (id) => () => make("button", { type: "button", className: "link", title: "From its signal to its fills" }, id);

const FIGURES = [
  ["Equity", (status) => [amount(status.equity), status.base_currency]],
  ["Profit today", (status) => [profit(status.profit_today), status.base_currency]],
  ["Profit in all", (status) => [profit(status.profit), status.base_currency]],
  ["Working orders", (status) => [{ text: String(status.open_orders) }, ""]],
  ["Unknown outcomes", (status) => [
    { text: String(status.unknown_outcomes), level: status.unknown_outcomes ? "bad" : "" }, "",
  ]],
];

export function showFigures(status) {
  const list = by("figures");
  if (!list.children.length) {
    for (const [name] of FIGURES) {
      list.append(make("div", {}, make("dt", {}, name), make("dd", {}, make("b"), make("small"))));
    }
  }
  FIGURES.forEach(([, value], index) => {
    const [{ text, title = "", level = "" }, unit] = value(status);
    const [number, small] = list.children[index].lastChild.children;
    say(number, text);
    number.title = title;
    rate(number, level);
    say(small, unit);
  });
}

/** Draws equity, and the chosen instrument's price with its fills. */
export function showCharts(memory, status, fills) {
  if (document.hidden) return;
  chart(by("equity"), { name: `Equity in ${status.base_currency}`, points: memory.points() });
  const instrument = by("instrument").value;
  const marks = fills.filter((one) => one.instrument === instrument).map((one) => ({
    at: one.at_ns / 1e6,
    value: Number(one.price),
    side: one.side,
    title: `${one.side} ${exact(one.quantity)} at ${exact(one.price)}, ${clock(one.at_ns)} UTC`,
  }));
  const points = memory.points(instrument);
  chart(by("price"), { name: `Price of ${instrument}`, points, marks, digits: priceDigits(instrument) });
}

/** Fills all tables from an event of the stream and the latest fills. */
export function showTables({ status, positions, orders, denials }, fills) {
  for (const one of status.feeds) price(one.instrument, lastPrice(one)); // digits first, so that columns stand in line
  showPositions(positions, status.base_currency);
  showOrders(orders, status.now_ns);
  showFills(fills, status.now_ns);
  showStrategies(status);
  showVenues(status);
  fill(by("denials"), {
    columns: [["Reason", (one) => word(one.code)], ["Since the start", (one) => exact(String(one.count)), "number"]],
    rows: denials,
    key: (one) => one.code,
    empty: "Nothing was denied since the start.",
  });
  fill(by("feeds"), {
    columns: [
      ["Instrument", (one) => one.instrument],
      ["Market", (one) => ({ text: word(one.market), level: one.market === "open" ? "" : "warn" })],
      ["Last", (one) => price(one.instrument, lastPrice(one)), "number"],
      ["Age", (one) => age(one.age_s), "number"],
    ],
    rows: status.feeds,
    key: (one) => one.instrument,
    empty: "No prices yet.",
  });
  fill(by("budgets"), {
    columns: [
      ["Venue", (one) => one.venue],
      ["Limit", (one) => word(one.limit), "text"],
      ["Left", (one) => share(one.left), "number share"],
    ],
    rows: status.budgets,
    key: (one) => `${one.venue} ${one.limit}`,
    empty: "No venue here has rate limits.",
  });
}

const lastPrice = ({ last }) => (last > 0 ? String(Number(last.toPrecision(12))) : null);
const share = (left) => ({ text: `${Math.round(left * 100)} %`, share: left });

function age(s) {
  if (s === null) return { text: "none yet", level: "warn" };
  return { text: `${s.toFixed(1)} s`, level: s > OLD_S ? "bad" : "" };
}

function showPositions(positions, currency) {
  fill(by("positions"), {
    columns: [
      ["Instrument", (one) => one.instrument],
      ["Quantity", (one) => exact(one.quantity), "number"],
      [`Value, ${currency}`, (one) => amount(one.value), "number"],
      ["Unrealised", (one) => profit(one.unrealised), "number"],
      ["Realised", (one) => profit(one.realised), "number"],
      ["Currency", (one) => one.currency],
      ["Average", (one) => average(one), "number"],
      ["Price", (one) => price(one.instrument, one.price), "number"],
      ["Target", (one) => exact(one.target), "number"],
      ["Strategy", (one) => one.strategy || "external"],
    ],
    rows: positions,
    key: (one) => `${one.strategy} ${one.instrument}`,
    empty: "Nothing is held, and nothing was.",
  });
}

function average({ average_price: told, instrument }) {
  return { text: rounded(told, priceDigits(instrument)), title: told ?? "" };
}

function showOrders(orders, nowNs) {
  fill(by("orders"), {
    columns: [
      ["Since, UTC", (one) => clock(one.created_at_ns, nowNs)],
      ["Instrument", (one) => one.instrument],
      ["Side", (one) => side(one.side)],
      ["Quantity", (one) => exact(one.quantity), "number"],
      ["Price", (one) => price(one.instrument, one.price ?? one.trigger), "number"],
      ["Filled", (one) => exact(one.filled), "number"],
      ["Kind", (one) => word(one.kind)],
      ["State", orderState],
      ["Strategy", (one) => one.strategy || "external"],
      ["Order", (one) => orderLink(one.client_order_id)],
    ],
    rows: orders,
    key: (one) => one.client_order_id,
    open: (one) => openChain(one.client_order_id),
    empty: "No order is working.",
  });
}

function orderState({ state, operation, reason }) {
  const text = operation ? `${word(state)} (${operation})` : word(state);
  return { text, title: reason, level: operation?.includes("unknown") ? "bad" : "" };
}

function showFills(fills, nowNs) {
  fill(by("fills"), {
    columns: [
      ["Time, UTC", (one) => clock(one.at_ns, nowNs)],
      ["Instrument", (one) => one.instrument],
      ["Side", (one) => side(one.side)],
      ["Quantity", (one) => exact(one.quantity), "number"],
      ["Price", (one) => price(one.instrument, one.price), "number"],
      ["Fees", (one) => one.fees.map(([asset, told]) => `${exact(told)} ${asset}`).join(", ") || NONE, "number"],
      ["Strategy", (one) => one.strategy || "external"],
      ["Order", (one) => orderLink(one.client_order_id)],
    ],
    rows: fills.slice(0, FILLS_SHOWN),
    key: (one) => String(one.seq),
    open: (one) => openChain(one.client_order_id),
    empty: "Nothing was filled yet.",
  });
}

function showStrategies(status) {
  fill(by("strategies"), {
    columns: [
      ["Strategy", (one) => one.id],
      ["State", (one) => ({ text: word(one.state), title: one.fault, level: LEVEL[one.state] })],
      ["Orders", (one) => String(one.open_orders), "number"],
      [`Profit, ${status.base_currency}`, (one) => profit(one.profit), "number"],
      ["Instruments", (one) => one.instruments.join(", "), "text"],
    ],
    rows: status.strategies,
    key: (one) => one.id,
    empty: "No strategy is configured.",
  });
}

function showVenues(status) {
  fill(by("venues"), {
    columns: [
      ["Venue", (one) => one.name],
      ["Connection", (one) => (one.ready ? { text: "ready", level: "good" } : { text: one.reason || "not ready", level: "bad" }), "text"],
      ["State", (one) => ({ text: word(one.trading_state), level: LEVEL[one.trading_state] })],
      [`Equity, ${status.base_currency}`, (one) => amount(one.equity), "number"],
    ],
    rows: status.venues,
    key: (one) => one.name,
    empty: "No venue is configured.",
  });
}
