"""The bars of the backtest benchmarks: a seeded walk of one-minute bars on a grid of 0.01, each opening at the last close.

So "fill at this close" and "fill at the next open" are one price, and all engines must come to the same equity.

Run: python benchmarks/data.py DIRECTORY      (needs numpy; writes bars_100000.csv and bars_1000000.csv)
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

TOTAL, SIZES = 1_000_000, (100_000, 1_000_000)
SEED, SIGMA, PULL = 7, 0.0004, 2e-6
FIRST_CENTS, FIRST_S = 100_000, 1_577_836_800  # 1000.00 at 2020-01-01 00:00 UTC


def closes(chance: np.random.Generator) -> np.ndarray:
    """Return the closes in cents: the exponential of a walk that is pulled back a little."""
    at, path = 0.0, []
    for shock in chance.normal(0.0, SIGMA, TOTAL).tolist():
        at += shock - PULL * at
        path.append(at)
    cents: np.ndarray = np.round(1000.0 * np.exp(np.array(path)) * 100).astype(np.int64)
    return cents


def bars() -> list[np.ndarray]:
    """Return time in seconds, then open, high, low and close in cents, then volume; the order of the draws matters."""
    chance = np.random.default_rng(SEED)
    close = closes(chance)
    opened = np.concatenate(([FIRST_CENTS], close[:-1]))
    high = np.maximum(opened, close) + chance.integers(0, 30, TOTAL)
    low = np.minimum(opened, close) - chance.integers(0, 30, TOTAL)
    volume = chance.integers(1000, 2000, TOTAL)
    return [FIRST_S + 60 * np.arange(TOTAL), opened, high, low, close, volume]


def write(folder: Path) -> dict[int, Path]:
    """Write the files that are not there yet and return them by number of bars."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {size: folder / f"bars_{size}.csv" for size in SIZES}
    if all(path.exists() for path in files.values()):
        return files
    columns = [column.tolist() for column in bars()]
    for size, path in files.items():
        with path.open("w", encoding="ascii") as file:
            file.write("ts,open,high,low,close,volume\n")
            for at, *prices, volume in zip(*(column[:size] for column in columns), strict=True):
                file.write(f"{at},{','.join(f'{price / 100:.2f}' for price in prices)},{volume}\n")
    return files


if __name__ == "__main__":
    print(*write(Path(sys.argv[1])).values(), sep="\n")
