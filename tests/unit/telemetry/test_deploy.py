"""The dashboard and the alerts: whole documents, and each alert has a case in which it fires and one in which not.

``tests/acceptance/test_watching.py`` compares the metrics that they name with those of a running service.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import Any

import pytest
import yaml

from tests.unit.telemetry.deploy import ALERTS, DASHBOARD, DEPLOY


def alerts() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


def test_each_alert_says_how_grave_it_is_and_what_to_do() -> None:
    for rule in alerts():
        assert rule["labels"]["severity"] in ("critical", "warning"), rule["alert"]
        assert set(rule["annotations"]) == {"summary", "description"}, rule["alert"]
        assert rule["annotations"]["description"], rule["alert"]


def test_each_alert_has_cases() -> None:
    names = [rule["alert"] for rule in alerts()]
    healthy, *firing = yaml.safe_load((DEPLOY / "alerts.test.yaml").read_text())["tests"]
    assert [case["alertname"] for case in healthy["alert_rule_test"]] == names
    assert [case["alert_rule_test"][0]["alertname"] for case in firing] == names
    assert all(case["alert_rule_test"][0]["exp_alerts"] for case in firing)


@pytest.mark.services
def test_the_alerts_fire() -> None:
    """Needs promtool, which Debian has in its package prometheus; .ci/alerts gets it."""
    promtool = shutil.which("promtool")
    assert promtool is not None, "no promtool; .ci/alerts gets it"
    checks = [["check", "rules", ALERTS.name], ["test", "rules", "alerts.test.yaml"]]
    # The token is a file of the container.
    checks.append(["check", "config", "--syntax-only", "prometheus.yaml"])
    for words in checks:
        found = subprocess.run([promtool, *words], cwd=DEPLOY, capture_output=True, text=True)
        assert found.returncode == 0, found.stdout + found.stderr


def test_the_panels_of_the_dashboard_fill_rows_without_covering_each_other() -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        columns = range(place["x"], place["x"] + place["w"])
        cells = {(x, y) for x in columns for y in range(place["y"], place["y"] + place["h"])}
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
        assert panel["type"] == "row" or panel["targets"], panel["title"]
