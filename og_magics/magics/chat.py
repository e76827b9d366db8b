"""%%ogchat and %ogchat: ask, watch the answer stream, keep the receipt."""

from __future__ import annotations

import keyword
import re
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError
from IPython.core.magic import Magics, line_cell_magic, magics_class, no_var_expand

from ..errors import ConfigError, OGError
from .arguments import chat_parser, options_of
from .receipts import ReceiptsVariable, notebook

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..app import App
    from ..conversation import Answer, Turn
    from ..display import Live
    from ..progress import Progress
    from ..receipt import Receipt

_HEX64 = re.compile(r"(?:0x)?[0-9a-fA-F]{64}")


@magics_class
class ChatMagics(Magics):
    """The magics that ask."""

    def __init__(self, shell: Any, variable: ReceiptsVariable) -> None:
        super().__init__(shell)
        self._names: dict[str, Any] = shell.user_ns
        self._shell = shell
        self._variable = variable

    @property
    def _app(self) -> App:
        return notebook()

    @no_var_expand
    @line_cell_magic
    def ogchat(self, line: str, cell: str | None = None) -> None:
        """Ask a model; the answer streams into the cell and leaves a receipt.

            %%ogchat [flags]                 the prompt is the cell
            %ogchat [flags] the prompt       the prompt is the rest of the line

        -m MODEL      gpt-5, openai/gpt-5 or any provider/model
        -p PROVIDER   openai, anthropic, google, x-ai, bytedance, nous, zai
        -s MODE       private, batch or individual: what of the call goes on chain
        -t TEMP       temperature, 0 to 2
        -n N          tokens of the answer, at most
        --system TEXT system prompt, in quotes
        -o VAR        put the result into this variable; it is in `_` too
        --max-cost OPG  refuse to pay if the call could cost more; a session's whole cap counts
        --web-search  let the model search the web; its provider bills that
        --no-stream   show the answer when it is complete

        Flags beat `%og use`, which beats the environment. The prompt is sent as typed: braces, quotes and $ included.
        """
        flags, rest = chat_parser().parse(line, prompt=cell is None)
        prompt = rest if cell is None else cell.removesuffix("\n")
        if flags.output and (not flags.output.isidentifier() or keyword.iskeyword(flags.output)):
            raise UsageError(f"-o {flags.output}: that is not a variable's name.")
        try:
            self._refuse_own_key(prompt)
            turn = self._app.turn(prompt, options_of(flags))
            result = self._ask(turn)
        except ConfigError as error:
            raise UsageError(str(error)) from None
        # The shell's own way: a `_` that is merely assigned would never change again.
        self._shell.displayhook.update_user_ns(result)
        if flags.output:
            self._names[flags.output] = result

    def _ask(self, turn: Turn) -> Answer:
        from ..conversation import follow
        from ..display import HEARTBEAT, live_for

        run = self._app.start(turn)
        live = live_for(self._shell, run.progress, run.model)
        live.show()
        try:
            for _ in follow([run], HEARTBEAT):
                live.show()
            result = run.result()
        except KeyboardInterrupt:
            self._break_off(live, run.progress, "Interrupted: the answer is not complete.")
            raise
        except OGError as error:
            self._break_off(live, run.progress, error.what)
            raise
        receipt = result.receipt
        if receipt is not None:
            self._finish(live, receipt, result.text, images=result.images or ())
        self._variable.refresh()
        return result

    def _break_off(self, live: Live, progress: Progress, note: str) -> None:
        """Leave what had arrived, with its receipt; or nothing, where nothing had."""
        if progress.receipt_id is None:
            live.drop()
            return
        # The receipt may hold more than was shown: what is shown now is what the receipt is about.
        receipt = self._app.ledger.receipt(progress.receipt_id)
        if receipt.text or progress.text:
            self._finish(live, receipt, receipt.text or progress.text, note)
        else:
            live.drop()
        self._variable.refresh()

    def _finish(self, live: Live, receipt: Receipt, text: str, note: str = "", images: Sequence[str] = ()) -> None:
        explorer, head = self._app.explorer(receipt.network), self._app.ledger.head()
        live.finish(receipt, text, explorer, note, images, head)
        self._app.shown(receipt, live.refresh)

    def _refuse_own_key(self, prompt: str) -> None:
        """The wallet's own key must not be sent to a model. (Other keys look like hashes, which one may ask about.)"""
        key = self._app.settings.private_key
        if key is not None:
            own = key.reveal().removeprefix("0x").lower()
            if any(found.group().removeprefix("0x").lower() == own for found in _HEX64.finditer(prompt)):
                raise UsageError(
                    "The prompt holds this wallet's private key. It was not sent. Remove it from the cell."
                )
