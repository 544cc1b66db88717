"""The boundary of every limit, as data: what lies below it, at it and above it, for new orders and for amendments.

`CASES` is read by the boundary tests and by the check that a disabled control does not go unnoticed. Quantities and
prices are text; the market is at 100, the lot 0.001, the tick 0.01.
"""

from tests.unit.risk import budget_cases, exit_cases, exposure_cases, order_cases

CASES = (*order_cases.cases.found, *exit_cases.cases.found, *exposure_cases.cases.found, *budget_cases.cases.found)
