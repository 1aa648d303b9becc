"""The files for Prometheus and Grafana, and the metrics that they name."""

from __future__ import annotations

import json
import re
from pathlib import Path

import yaml

DEPLOY = Path(__file__).parents[3] / ".deploy"
DASHBOARD, ALERTS = DEPLOY / "grafana.json", DEPLOY / "alerts.yaml"
_METRIC = re.compile(r"\b(?:penstock|process)_[a-z_]+\b")


def named() -> set[str]:
    """Every metric of Penstock in the expressions of both."""
    dashboard = json.loads(DASHBOARD.read_text())
    texts = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    texts += [rule["expr"] for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]
    texts += [variable["query"] for variable in dashboard["templating"]["list"]]
    return {name for text in texts for name in _METRIC.findall(text)}
