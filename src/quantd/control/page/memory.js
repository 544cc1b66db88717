// What the charts draw: equity and prices over time, from the daemon's history and then from each event.

const POINTS_MAX = 4000;

export class Memory {
  /** Begins with the daemon's history. */
  constructor(history) {
    this.at = history.at_ns.map((ns) => ns / 1e6);
    this.equity = history.equity.map(toNumber);
    this.prices = new Map(history.prices.map((one) => [one.instrument, [...one.prices]]));
  }

  get instruments() {
    return [...this.prices.keys()].sort();
  }

  /** Adds what an event says. */
  add(status) {
    this.at.push(status.now_ns / 1e6);
    this.equity.push(toNumber(status.equity));
    const last = new Map(status.feeds.map((feed) => [feed.instrument, feed.last > 0 ? feed.last : null]));
    for (const instrument of last.keys()) {
      if (!this.prices.has(instrument)) this.prices.set(instrument, Array(this.at.length - 1).fill(null));
    }
    for (const [instrument, series] of this.prices) series.push(last.get(instrument) ?? null);
    if (this.at.length > POINTS_MAX) for (const series of [this.at, this.equity, ...this.prices.values()]) series.shift();
  }

  /** Points of the equity, or of an instrument's price. */
  points(instrument) {
    const series = instrument === undefined ? this.equity : (this.prices.get(instrument) ?? []);
    return this.at.map((at, index) => ({ at, value: series[index] ?? null }));
  }
}

const toNumber = (text) => (text === null ? null : Number(text));
