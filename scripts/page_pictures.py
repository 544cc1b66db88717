"""Takes the pictures of the web page in docs/images: `make pictures`, which needs a Chromium on the PATH.

Starts a daemon that trades at simulated venues, lets it trade for a while, and looks at its page as people do: wide and
narrow, light and dark, an order's chain, and halted. Nothing leaves this machine.
"""

import asyncio
import sys
import tempfile
from pathlib import Path

from tests.process.chromium import PROGRAM, Page, chromium
from tests.process.page_scene import TOKEN, a_fill_of, daemon_with_a_page, enter

IMAGES = Path(__file__).parent.parent / "docs" / "images"
TRADES_S = 60
WIDE, NARROW = (1200, 860), (390, 844)
WHY = "ETH spread looks wrong, asking the venue"


async def take(page: Page, name: str, size: tuple[int, int], scheme: str) -> None:
    """Take one picture, after the page had the time to draw itself anew."""
    await page.look(*size, scheme)
    await asyncio.sleep(1.5)
    (IMAGES / f"page-{name}.png").write_bytes(await page.picture())


async def pictures(folder: Path) -> None:
    """Take all pictures."""
    with daemon_with_a_page(folder) as (_, address):
        async with chromium(folder / "profile") as page:
            await page.look(*WIDE, "light")
            await page.go(f"{address}/")
            await page.until("document.getElementById('enter')?.checkVisibility()")
            await enter(page, TOKEN)
            await asyncio.sleep(TRADES_S)
            await take(page, "desktop", WIDE, "light")
            await take(page, "dark", WIDE, "dark")
            await take(page, "phone", NARROW, "light")
            await page.look(*WIDE, "light")
            await page.run(f"{a_fill_of('btc-cross')}.click()")
            await take(page, "order", WIDE, "light")
            await page.press("Escape", 27)
            await page.run(f"document.getElementById('why').value = '{WHY}'")
            await page.run("document.getElementById('halt').click()")
            await page.until("document.getElementById('state').textContent === 'halted'")
            await take(page, "halted", WIDE, "light")


def main() -> int:
    """Take all pictures; 2 when there is no browser."""
    if PROGRAM is None:
        print("make pictures: no chromium, chromium-browser or google-chrome on the PATH", file=sys.stderr)
        return 2
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(pictures(Path(folder)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
