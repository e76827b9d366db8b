"""The environment of this process, as it was when og_magics was imported."""

from __future__ import annotations

import os
from collections.abc import Mapping

AT_IMPORT: Mapping[str, str] = dict(os.environ)
"""A copy: it does not have what a cell changes in `os.environ` afterwards."""
