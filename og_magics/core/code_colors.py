"""The colours of code where the front end does not colour it: JupyterLab's own, with its light ones elsewhere."""

from __future__ import annotations

COLORS = {
    kind: f"var(--jp-mirror-editor-{kind}-color,{light})"
    for kind, light in {
        "keyword": "#008000", "builtin": "#008000", "def": "#0000ff", "string": "#ba2121", "number": "#008800",
        "comment": "#408080", "operator": "#aa22ff",
    }.items()
}  # fmt: skip
"""CSS colours by the kind of a token; an audit knows these and no others."""
