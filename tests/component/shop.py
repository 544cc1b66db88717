"""The configuration of a daemon on one small paper venue, for tests of what runs around the engine."""

from pathlib import Path

_TEXT = """
journal: {{path: {root}/q.db, state_dir: {root}/state, record: {record}}}
venues:
  shop:
    type: paper
    balances: {{USD: 1000}}
    data: {{synthetic: {{seed: 3, instruments: [{{symbol: BTC-USD, price: 100}}]}}}}
risk: {{base_currency: USD}}
feeds: {{bar_store: {root}/bars.db}}
health: {{port: 0}}
logging: {{level: error}}
"""


def shop(root: Path, *, record: bool = False) -> str:
    """Return it as YAML, all its files under `root`."""
    return _TEXT.format(root=root, record=str(record).lower())
