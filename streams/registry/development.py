"""Knows the registry of development: package data of an installation, ``deploy/dev`` of a checkout."""

from pathlib import Path
from typing import Final

_PACKAGED: Final = Path(__file__).parents[1] / "dev" / "registry"

DEVELOPMENT: Final = _PACKAGED if _PACKAGED.is_dir() else Path(__file__).parents[2] / "deploy" / "dev"
"""Folder of the businesses, templates and prices of the development set-up, with ``examples`` in it."""
