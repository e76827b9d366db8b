"""%og devnet: the local network's addresses, for this notebook and others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.errors import ConfigError
from .og_parsers import devnet_parser

if TYPE_CHECKING:
    from ..session import Session

_TOLD = {
    "rpc_url": "chain's node",
    "chain_id": "chain id",
    "gateway_url": "gateway",
    "blob_url": "blobs",
    "tee_registry": "gateway list",
    "opg_token": "OPG token",
}


def devnet(app: Session, line: str) -> str:
    """Return the devnet's addresses as text; start one if none runs. `--file` writes what OG_DEVNET wants.

    Raises:
        ConfigError: another network is in use, or the file cannot be written.
        DevnetError: it did not start.
    """
    from ..client.devnet_process import local_model

    flags, _ = devnet_parser().parse(line, prompt=False)
    info = app.devnet()
    lines = [f"{name:<12} {info[key]}" for key, name in _TOLD.items() if key in info]
    maker = f"{model} answers" if (model := local_model()) else "its answers are prepared"
    lines.append(f"Its payments are play money, {maker}, and its keys are known to everybody.")
    if flags.file is not None:
        path = Path(flags.file).expanduser()
        try:
            path.write_text(json.dumps(dict(info)) + "\n", encoding="utf-8")
        except OSError as error:
            raise ConfigError(
                f"{path} cannot be written: {error.strerror}.", remedy="Name a place where files may be written."
            ) from None
        lines.append(f"Written to {flags.file}: OG_DEVNET={flags.file} makes other notebooks and scripts use it.")
    return "\n".join(lines)
