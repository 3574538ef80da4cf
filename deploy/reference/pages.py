"""Every page that follows from the program, by its place below ``deploy``.

Nobody edits them: a test demands that what is written is what the program says. Works in a checkout only.
"""

from pathlib import Path
from typing import Final

from deploy.reference.cli import cli_page
from deploy.reference.dashboard import dashboard
from deploy.reference.metrics import metrics_page
from deploy.reference.prometheus import alert_rules, scrape_config
from deploy.reference.settings import settings_page
from streams.runtime import metrics

FOLDER: Final = Path(__file__).parents[2] / "deploy"
_ALERTS: Final = "prometheus/alerts.rules.yml"


def documents() -> dict[str, str]:
    """Every page by its place below ``deploy``."""
    families = metrics.catalogue()
    return {
        "METRICS.md": "\n".join(metrics_page(families)) + "\n",
        "SETTINGS.md": "\n".join(settings_page()) + "\n",
        "CLI.md": "\n".join(cli_page()) + "\n",
        "prometheus/dashboard.json": dashboard(families),
        "prometheus/prometheus.yml": scrape_config(),
        _ALERTS: alert_rules((FOLDER / _ALERTS).read_text("utf-8")),
    }
