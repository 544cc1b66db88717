"""Broken configurations, each with what its message must say: place, key, what was found, what was expected."""

from dataclasses import dataclass, field

GOOD = """\
venues:
  paper:
    type: paper
    data: {synthetic: {instruments: [{symbol: BTC-USDT, price: 65000}]}}
    balances: {USDT: 1000}
risk: {base_currency: USDT}
"""
STRATEGY = """\
strategies:
  - id: btc-cross
    use: sma_cross.SmaCross
    instruments: [paper:BTC-USDT]
"""
IONLOOP = """\
venues:
  ionloop:
    type: ionloop
risk: {base_currency: USDT}
"""
RIPIO = "venues:\n  ripio:\n    type: ripio\n"
KEY = {"QUANTD__VENUES__IONLOOP__API_KEY": "planted-secret-1"}
SECRET = "planted-secret"


@dataclass(frozen=True)
class Broken:
    """One broken configuration."""

    name: str
    text: str
    says: tuple[str, ...]
    """What one line of the message must hold, all together."""
    env: dict[str, str] = field(default_factory=dict)
    over: str = ""
    """A second file, `site.yaml`."""


CASES = [
    # YAML itself
    Broken("a tab", "venues:\n\tpaper: 1\n", ("base.yaml:2:1:", "expected YAML", "no tabs")),
    Broken("an open bracket", "venues: [a, b\nrisk: 1\n", ("base.yaml:2", "expected YAML")),
    Broken("a key twice", GOOD + "risk: {}\n", ("base.yaml:7:1: risk:", "found the key twice, first in line 6")),
    Broken("an anchor", "venues: &all {}\n", ("base.yaml:1:9:", "found anchors and aliases", "written out")),
    Broken("a merge key", GOOD + "feeds: {<<: {max_age_s: 1}}\n", ("base.yaml:7:9: feeds:", "found a merge key")),
    Broken("a tag", GOOD + "feeds: {max_age_s: !!float 1}\n", ("base.yaml:7:20:", "found a tag", "plain values")),
    Broken("two documents", GOOD + "---\nrisk: 1\n", ("base.yaml:7:1:", "found a second document")),
    Broken("no mapping", "- a\n- b\n", ("base.yaml:1:1:", "found a list", "expected sections")),
    Broken("an empty file", "", ("base.yaml:1:1: venues:", "found nothing", "expected a mapping")),
    # keys
    Broken("an unknown section", GOOD + "feed: {}\n", ("base.yaml:7:1: feed:", "unknown key", "did you mean feeds?")),
    Broken(
        "a misspelt key",
        GOOD + "journal:\n  snapshot_evry: 5\n",
        ("base.yaml:8:3: journal.snapshot_evry:", "an unknown key", "one of path,", "did you mean snapshot_every?"),
    ),
    Broken(
        "a key one level too high",
        GOOD.replace("risk: {", 'risk: {day_ends: "17:00", '),
        ("base.yaml:6:8: risk.day_ends:", "did you mean account.day_ends?"),
    ),
    Broken(
        "a misspelt key deep in a list",
        GOOD.replace("price: 65000", "price: 65000, spread_bp: 3"),
        ("base.yaml:4:", "venues.paper.data.synthetic.instruments.0.spread_bp:", "did you mean spread_bps?"),
    ),
    Broken("one file for two", GOOD + "feeds: {bar_store: var/quantd.db}\n", ("feeds.bar_store:", "is the journal")),
    Broken("a section that is text", GOOD + "feeds: fast\n", ("base.yaml:7:1: feeds:", "found text", "a mapping")),
    Broken(
        "a token in the place of its section",
        GOOD + f"control: {{tokens: {{ann: {SECRET}}}}}\n",
        ("base.yaml:7:20: control.tokens.ann:", "found text", "a mapping"),
    ),
    Broken(
        "a key in the place of its venue",
        GOOD.replace("venues:\n", f"venues:\n  oanda: {SECRET}\n"),
        ("base.yaml:2:3: venues.oanda:", "found text", "a mapping"),
    ),
    Broken(
        "a token that is a variable without its last part",
        GOOD,
        ("QUANTD__CONTROL__TOKENS__ANN: control.tokens.ANN:", "found text", "a mapping"),
        env={"QUANTD__CONTROL__TOKENS__ANN": SECRET},
    ),
    Broken(
        "an address with a secret in its path",
        GOOD + f"notify: {{webhooks: {{a: {{url: 'http://hooks.example.com/{SECRET}/1'}}}}}}\n",
        ("notify.webhooks.a.url: found 'http://hooks.example.com/***'", "https://"),
    ),
    # values
    Broken(
        "no whole number",
        GOOD + "health: {port: 94.5}\n",
        ("base.yaml:7:16: health.port:", "found '94.5'", "expected a whole number from 0 to 65535"),
    ),
    Broken("a number out of range", GOOD + "health: {port: 70000}\n", ("health.port: found '70000'", "0 to 65535")),
    Broken(
        "a word for a number",
        GOOD + "feeds:\n  max_age_s: soon\n",
        ("base.yaml:8:14: feeds.max_age_s:", "found 'soon'", "expected a number, above 0"),
    ),
    Broken("not a number", GOOD + "feeds: {max_age_s: nan}\n", ("feeds.max_age_s: found 'nan'", "expected a number")),
    Broken("yes for true", GOOD + "journal: {record: yes}\n", ("journal.record: found 'yes'", "true or false")),
    Broken("true for a number", GOOD + "feeds: {max_age_s: true}\n", ("feeds.max_age_s: found true", "a number")),
    Broken(
        "a misspelt word",
        GOOD + "logging: {format: jsn}\n",
        ("logging.format: found 'jsn'", "one of auto, json, console", "did you mean json?"),
    ),
    Broken("a list for a number", GOOD + "feeds: {max_age_s: [1]}\n", ("feeds.max_age_s: found a list", "a number")),
    Broken(
        "an interval without a unit",
        GOOD + STRATEGY + "    bars: 60\n",
        ("base.yaml:11:11: strategies.btc-cross.bars:", "found '60'", "an interval with its unit, such as 2s"),
    ),
    Broken(
        "a cron field out of range",
        GOOD + STRATEGY + '    schedule: {flat_by: "61 16 * * mon-fri"}\n',
        ("strategies.btc-cross.schedule.flat_by:", "found '61 16 * * mon-fri'", "the minute as 0 to 59"),
    ),
    Broken(
        "a cron zone that does not exist",
        GOOD + STRATEGY + '    schedule: {flat_by: "5 16 * * * America/New_Yrok"}\n',
        ("schedule.flat_by:", "expected a time zone of the IANA data base", "not 'America/New_Yrok'"),
    ),
    Broken(
        "a day end in a zone that does not exist",
        GOOD.replace("USDT}\n", 'USDT, account: {day_ends: "17:00 America/New_Yrok"}}\n'),
        ("risk.account.day_ends: found the time zone 'America/New_Yrok'", "did you mean America/New_York?"),
    ),
    # limits
    Broken(
        "a misspelt limit",
        GOOD.replace("base_currency: USDT}", "base_currency: USDT, account: {max_daily_los: 5}}"),
        ("base.yaml:6:39: risk.account.max_daily_los:", "an unknown key", "did you mean max_daily_loss?"),
    ),
    Broken(
        "a limit in the wrong scope",
        GOOD.replace("base_currency: USDT}", "base_currency: USDT, account: {max_position: 5}}"),
        ("risk.account.max_position:", "makes no sense for an account", "a strategy's risk or risk.instruments"),
    ),
    Broken(
        "a limit below zero",
        GOOD + STRATEGY + "    risk:\n      price_collar_bps: -5\n",
        ("base.yaml:12:25: strategies.btc-cross.risk.price_collar_bps:", "found '-5'", "a number above 0"),
    ),
    Broken(
        "a limit that is no number",
        GOOD.replace("USDT}\n", "USDT, account: {max_open_orders: many}}\n"),
        ("risk.account.max_open_orders: found 'many'", "a whole number, at least 0"),
    ),
    Broken(
        "a rate without its window",
        GOOD.replace("USDT}\n", "USDT, account: {submit_rate: {count: 5}}}\n"),
        ("risk.account.submit_rate.per_s: found nothing", "a number above 0"),
    ),
    Broken(
        "an order type that does not exist",
        GOOD.replace("USDT}\n", "USDT, order: {order_types: [limit, stop_limt]}}\n"),
        ("risk.order.order_types.1: found 'stop_limt'", "one of market, limit", "did you mean stop_limit?"),
    ),
    Broken(
        "a daily budget of half an order",
        GOOD.replace("USDT}\n", "USDT, account: {max_daily_orders: 0.5}}\n"),
        ("risk.account.max_daily_orders: found '0.5'", "a whole number above 0"),
    ),
    Broken(
        "a throttle for a venue",
        GOOD.replace("USDT}\n", "USDT, venues: {paper: {max_fires: 5}}}\n"),
        ("risk.venues.paper.max_fires:", "makes no sense for a venue", "a strategy's risk"),
    ),
    Broken(
        "a margin distance of a strategy",
        GOOD + STRATEGY + "    risk: {min_margin_ratio: 2}\n",
        ("strategies.btc-cross.risk.min_margin_ratio:", "makes no sense for a strategy", "risk.venues or risk.account"),
    ),
    Broken(
        "a stage that does not exist",
        GOOD + STRATEGY + "    stage: canari\n",
        ("strategies.btc-cross.stage: found 'canari'", "one of paper, canary, live", "did you mean canary?"),
    ),
    Broken(
        "a strategy on paper at a real venue",
        IONLOOP + STRATEGY.replace("paper:", "ionloop:") + "    stage: paper\n",
        ("strategies.btc-cross.stage: found 'paper'", "a real venue", "`type: paper`"),
        KEY,
    ),
    Broken(
        "real money without a stage",
        IONLOOP.replace("type: ionloop", "type: ionloop\n    environment: production")
        + STRATEGY.replace("paper:", "ionloop:"),
        ("strategies.btc-cross.stage: found nothing", "canary or live, because ionloop moves real money"),
        KEY,
    ),
    # names
    Broken("no venues", "risk: {base_currency: USD}\n", ("base.yaml:1:1: venues:", "found nothing")),
    Broken(
        "an unknown venue type",
        GOOD.replace("type: paper", "type: papr"),
        (
            "base.yaml:3:5: venues.paper.type:",
            "found 'papr'",
            "one of hummingbot, ionloop, oanda, paper, ripio, tradelocker",
            "did you mean paper?",
        ),
    ),
    Broken(
        "a perpetual exchange behind the server",
        "venues: {hb: {type: hummingbot, connector: binance_perpetual}}\nrisk: {base_currency: USDT}\n",
        ("venues.hb", "perpetual ones such as binance_perpetual are not there yet"),
    ),
    Broken(
        "an unencrypted gateway elsewhere",
        RIPIO + "    base_url: http://api.ripio.com\nrisk: {base_currency: BRL}\n",
        ("venues.ripio.base_url", "https://HOST"),
    ),
    Broken(
        "an unencrypted stream elsewhere",
        RIPIO + "    stream_url: ws://ws.ripiotrade.co\nrisk: {base_currency: BRL}\n",
        ("venues.ripio.stream_url", "wss://HOST"),
    ),
    Broken(
        "a venue without a sandbox that is not armed",
        RIPIO + "risk: {base_currency: BRL}\n",
        ("venues.ripio.armed: found nothing", "`armed: live`"),
    ),
    Broken(
        "a signed venue without its secret",
        RIPIO + "    base_url: http://127.0.0.1:9104\nrisk: {base_currency: BRL}\n",
        ("venues.ripio.api_secret: found nothing", "QUANTD__VENUES__RIPIO__API_SECRET, or api_secret_file"),
    ),
    Broken(
        "a TradeLocker user without a password",
        "venues: {tl: {type: tradelocker, email: a@b.c, server: S, account: '1'}}\nrisk: {base_currency: USD}\n",
        ("venues.tl.password: found nothing", "the variable QUANTD__VENUES__TL__PASSWORD, or password_file"),
    ),
    Broken(
        "an instrument of an unknown venue",
        GOOD + STRATEGY.replace("paper:BTC", "papr:BTC"),
        ("base.yaml:10:5: strategies.btc-cross.instruments:", "the venue 'papr'", "did you mean paper?"),
    ),
    Broken(
        "an instrument without a venue",
        GOOD + STRATEGY.replace("paper:BTC-USDT", "BTC-USDT"),
        ("strategies.btc-cross.instruments: found 'BTC-USDT'", "venue:SYMBOL"),
    ),
    Broken(
        "limits of an unknown venue",
        GOOD.replace("USDT}\n", "USDT, venues: {papper: {max_open_orders: 3}}}\n"),
        ("risk.venues.papper:", "the venue 'papper'", "did you mean paper?"),
    ),
    Broken(
        "an id twice",
        GOOD + STRATEGY + STRATEGY.replace("strategies:\n", ""),
        ("base.yaml:11:9: strategies.btc-cross.id:", "again, first in ", "base.yaml:8", "an id of its own"),
    ),
    Broken(
        "a strategy without a class",
        GOOD + STRATEGY.replace("    use: sma_cross.SmaCross\n", ""),
        ("base.yaml:8:5: strategies.btc-cross.use:", "found nothing", "such as sma_cross.SmaCross"),
    ),
    Broken("an id with capitals", GOOD + STRATEGY.replace("btc-", "BTC-"), ("'BTC-cross'", "such as eurusd-trend")),
    Broken(
        "paper on paper",
        GOOD.replace("data: {synthetic: {instruments: [{symbol: BTC-USDT, price: 65000}]}}", "data: paper"),
        ("base.yaml:4:5: venues.paper.data:", "found itself", "`synthetic` or `recorded`"),
    ),
    Broken(
        "two sources of data",
        GOOD.replace("data: {", "data: {recorded: {files: {BTC-USDT: a.csv}}, "),
        ("base.yaml:4:5: venues.paper.data:", "exactly one of a venue's name, `synthetic` and `recorded`"),
    ),
    # secrets and real money
    Broken(
        "a secret in the file",
        IONLOOP.replace("type: ionloop", f"type: ionloop\n    api_key: {SECRET}-2"),
        (
            "base.yaml:4:5: venues.ionloop.api_key:",
            "version control",
            "api_key_file",
            "QUANTD__VENUES__IONLOOP__API_KEY",
        ),
    ),
    Broken(
        "a secret in the file under a variable",
        IONLOOP.replace("type: ionloop", f"type: ionloop\n    api_key: {SECRET}-2"),
        ("base.yaml:4:5: venues.ionloop.api_key:", "a secret written in the file"),
        env=KEY,
    ),
    Broken(
        "a secret under a misspelt key",
        IONLOOP.replace("type: ionloop", f"type: ionloop\n    api_kye: {SECRET}-3"),
        ("base.yaml:4:5: venues.ionloop.api_kye:", "an unknown key", "did you mean api_key_file?"),
    ),
    Broken("no key", IONLOOP, ("base.yaml:2:3: venues.ionloop.api_key: found nothing", "__API_KEY, or api_key_file")),
    Broken(
        "a secret for the name of its file",
        IONLOOP.replace("type: ionloop", f"type: ionloop\n    api_key_file: {SECRET}-4"),
        ("base.yaml:4:19: venues.ionloop.api_key_file:", "no such file", "a file that can be read"),
    ),
    Broken(
        "production that is not armed",
        IONLOOP.replace("type: ionloop", "type: ionloop\n    environment: production"),
        ("venues.ionloop.armed: found nothing", "`armed: live`", "real money"),
        env=KEY,
    ),
    Broken(
        "production without limits",
        IONLOOP.replace("type: ionloop", "type: ionloop\n    environment: production\n    armed: live"),
        ("risk.account.max_daily_loss: found nothing", "this limit, because ionloop moves real money"),
        env=KEY,
    ),
    Broken(
        "an address with a login",
        IONLOOP.replace(
            "type: ionloop", f"type: ionloop\n    environment: custom\n    base_url: https://u:{SECRET}@x.io"
        ),
        ("base.yaml:5:5: venues.ionloop.base_url:", "found 'https://***@x.io'", "without user"),
        env=KEY,
    ),
    Broken(
        "an address without encryption",
        IONLOOP.replace("type: ionloop", "type: ionloop\n    environment: custom\n    base_url: http://example.org"),
        ("venues.ionloop.base_url: found 'http://example.org'", "https://HOST"),
        env=KEY,
    ),
    Broken(
        "a path without its symbol",
        IONLOOP.replace("type: ionloop", "type: ionloop\n    paths: {ticker: /v2/ticker}"),
        ("venues.ionloop.paths.ticker: found '/v2/ticker'", "with {symbol} in it"),
        env=KEY,
    ),
    Broken(
        "a rate budget that does not exist",
        IONLOOP.replace("type: ionloop", "type: ionloop\n    rates: {order: {rate: 5, burst: 5}}"),
        ("venues.ionloop.rates.order:", "an unknown key", "did you mean orders?"),
        env=KEY,
    ),
    Broken(
        "a rate that is half a bucket",
        IONLOOP.replace("type: ionloop", "type: ionloop\n    rates: {orders: {rate: 5}}"),
        ("venues.ionloop.rates.orders:", "either `rate` and `burst`"),
        env=KEY,
    ),
    # the environment
    Broken(
        "an unknown variable",
        GOOD,
        ("QUANTD__FEDS__MAX_AGE_S: feds:", "a variable for an unknown key", "did you mean QUANTD__FEEDS?"),
        env={"QUANTD__FEDS__MAX_AGE_S": "1"},
    ),
    Broken(
        "a variable with an unknown key",
        GOOD,
        ("QUANTD__FEEDS__MAX_AGE: feeds.max_age:", "did you mean QUANTD__FEEDS__MAX_AGE_S?"),
        env={"QUANTD__FEEDS__MAX_AGE": "1"},
    ),
    Broken(
        "a variable with a wrong value",
        GOOD,
        ("QUANTD__HEALTH__PORT: health.port: found 'high'", "a whole number"),
        env={"QUANTD__HEALTH__PORT": "high"},
    ),
    Broken(
        "a variable for a strategy that does not exist",
        GOOD + STRATEGY,
        ("QUANTD__STRATEGIES__ETH_CROSS__BARS:", "an unknown strategy", "did you mean btc-cross?"),
        env={"QUANTD__STRATEGIES__ETH_CROSS__BARS": "1m"},
    ),
    Broken(
        "an empty secret",
        IONLOOP,
        ("QUANTD__VENUES__IONLOOP__API_KEY: venues.ionloop.api_key: found nothing", "a secret"),
        env={"QUANTD__VENUES__IONLOOP__API_KEY": " "},
    ),
    Broken(
        "a secret in a variable of many keys",
        IONLOOP,
        ("QUANTD__VENUES__IONLOOP: venues.ionloop.api_key: found a secret among other keys", "of its own"),
        env={"QUANTD__VENUES__IONLOOP": f"{{type: ionloop, api_key: {SECRET}-5}}"},
    ),
    Broken(
        "an address of somebody else that is not armed",
        IONLOOP.replace("type: ionloop", "type: ionloop\n    environment: custom\n    base_url: https://example.org"),
        ("venues.ionloop.armed: found nothing", "`armed: live`"),
        env=KEY,
    ),
    # the second file
    Broken(
        "a wrong value in the second file",
        GOOD + STRATEGY,
        ("site.yaml:3:11: strategies.btc-cross.bars:", "found 'fast'"),
        over="strategies:\n  - id: btc-cross\n    bars: fast\n",
    ),
]
