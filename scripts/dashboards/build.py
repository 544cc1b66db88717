"""Writes the dashboards as Grafana's JSON: `python -m scripts.dashboards.build FOLDER`, with grafana-foundation-sdk.

Run by `make dashboards`; a test of `make ops` compares what is committed with what this makes. Asks no Grafana.
"""

import json
import sys
from itertools import count
from pathlib import Path
from typing import Any

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models

from scripts.dashboards.boards import BOARDS
from scripts.dashboards.panels import Board, Kind, Panel

_GOOD, _BAD, _PLAIN = "green", "red", "text"
_WIDTH, _SMALL = 24, 4
_HEIGHT = {Kind.LINES: 8, Kind.NUMBER: 4}
_SOURCE = models.DataSourceRef(type_val="prometheus", uid="${datasource}")


def _thresholds(panel: Panel) -> dashboard.ThresholdsConfig:
    first, then = (_BAD, _GOOD) if panel.good_above else (_GOOD, _BAD)
    steps = [models.Threshold(value=None, color=_PLAIN if panel.bad is None else first)]
    if panel.bad is not None:
        steps.append(models.Threshold(value=panel.bad, color=then))
    return dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(steps)


def _mappings(panel: Panel) -> list[models.ValueMap]:
    options = {
        value: models.ValueMappingResult(text=text, color=color, index=index)
        for index, (value, text, color) in enumerate(panel.words)
    }
    return [models.ValueMap(options=options)] if options else []


def _drawn(panel: Panel) -> Any:
    made: Any
    if panel.kind is Kind.NUMBER:
        made = stat.Panel().reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        made = made.color_mode(common_models.BigValueColorMode.VALUE).graph_mode(common_models.BigValueGraphMode.NONE)
    else:
        made = timeseries.Panel().line_width(1).fill_opacity(0).show_points(common_models.VisibilityMode.NEVER)
        made = made.color_scheme(dashboard.FieldColor().mode(models.FieldColorModeId.PALETTE_CLASSIC_BY_NAME))
        made = made.tooltip(common.VizTooltipOptions().mode(common_models.TooltipDisplayMode.MULTI))
        legend = common.VizLegendOptions().show_legend(True).placement(common_models.LegendPlacement.BOTTOM)
        made = made.legend(legend.display_mode(common_models.LegendDisplayMode.LIST))
        if panel.bad is not None:
            style = common.GraphThresholdsStyleConfig().mode(common_models.GraphThresholdsStyleMode.DASHED)
            made = made.thresholds_style(style)
    made = made.title(panel.title).description(panel.description).unit(panel.unit).datasource(_SOURCE)
    made = made.thresholds(_thresholds(panel)).mappings(_mappings(panel)).no_value("no data yet")
    for index, query in enumerate(panel.queries):
        # One line of a panel of latencies shows exemplars, the orders behind them; twice the same dots would only clutter.
        exemplars = query.expr.startswith("histogram_quantile(0.99")
        asked = prometheus.Dataquery().expr(query.expr).legend_format(query.legend or "__auto").exemplar(exemplars)
        asked = asked.ref_id(chr(ord("A") + index)).datasource(_SOURCE)
        made = made.with_target(asked.instant() if panel.kind is Kind.NUMBER else asked.range())
    return made


def _variable(name: str, metric: str, narrowed: str) -> dashboard.QueryVariable:
    query = f"label_values({metric}{narrowed}, {name})"
    made = dashboard.QueryVariable(name).label(name).datasource(_SOURCE).query(query)
    made = made.refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED).sort(models.VariableSort.ALPHABETICAL_ASC)
    every = models.VariableOption(selected=True, text=["All"], value=["$__all"])
    return made.multi(True).include_all(True).all_value(".*").current(every)


def _annotations() -> list[dashboard.AnnotationQuery]:
    found = []
    for name, expr, color, text in (
        ("starts", 'changes(quantd_started_timestamp_seconds{job=~"$job",instance=~"$instance"}[2m]) > 0', "blue", "started: {{instance}}"),
        ("halts", 'quantd_trading_state{job=~"$job",instance=~"$instance"} == 2', "red", "halted: {{scope}}"),
    ):  # fmt: skip
        made = dashboard.AnnotationQuery().name(name).datasource(_SOURCE).enable(True).icon_color(color)
        made = made.expr(expr).step("30s").title_format(text)
        found.append(made)
    return found


def build(board: Board) -> dict[str, Any]:
    """Return the dashboard as the JSON that Grafana reads."""
    made = dashboard.Dashboard(board.title).uid(board.uid).description(board.question).tags(["quantd"])
    made = made.timezone("utc").refresh("30s").time("now-6h", "now").readonly()
    made = made.tooltip(models.DashboardCursorSync.CROSSHAIR)
    made = made.with_variable(dashboard.DatasourceVariable("datasource").label("data source").type("prometheus"))
    made = made.with_variable(_variable("job", "quantd_build_info", ""))
    made = made.with_variable(_variable("instance", "quantd_build_info", '{job=~"$job"}'))
    for name, metric in board.variables:
        made = made.with_variable(_variable(name, metric, '{job=~"$job",instance=~"$instance"}'))
    others = dashboard.DashboardLink("quantd").type(models.DashboardLinkType.DASHBOARDS).tags(["quantd"])
    made = made.link(others.as_dropdown(True).include_vars(True).keep_time(True))
    for one in _annotations():
        made = made.annotation(one)
    top, ids = 0, count(1)
    for row in board.rows:
        heading = dashboard.Row(row.title).id(next(ids)).grid_pos(models.GridPos(h=1, w=_WIDTH, x=0, y=top))
        made = made.with_row(heading)
        top, left, tallest = top + 1, 0, 0
        wide = [panel for panel in row.panels if panel.kind is Kind.LINES]
        narrow = len(row.panels) - len(wide)
        each = min(12, (_WIDTH - (narrow * _SMALL if wide else 0)) // max(1, len(wide)))
        for panel in row.panels:
            width = _SMALL if panel.kind is Kind.NUMBER else each
            height = _HEIGHT[Kind.LINES] if wide else _HEIGHT[panel.kind]
            place = models.GridPos(h=height, w=width, x=left, y=top)
            made = made.with_panel(_drawn(panel).id(next(ids)).grid_pos(place))
            left, tallest = left + width, max(tallest, height)
        top += tallest
    drawn: dict[str, Any] = json.loads(json.dumps(made.build(), cls=JSONEncoder))
    return drawn


def main(folder: Path) -> None:
    """Write one file for each board."""
    folder.mkdir(parents=True, exist_ok=True)
    for board in BOARDS:
        text = json.dumps(build(board), indent=1, sort_keys=True)
        (folder / f"{board.uid}.json").write_text(f"{text}\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
