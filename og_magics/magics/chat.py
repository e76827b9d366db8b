"""%%ogchat and %ogchat: ask, watch the answer stream, keep the receipt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from IPython.core.magic import line_cell_magic, magics_class, needs_local_scope, no_var_expand

from ..core.errors import AnswerError, ConfigError, OGError
from .base import NotebookMagics, unsent
from .input_transform import ASSIGNED, unix_lines
from .parser import chat_parser, check_variable, documented, options_of
from .prompts import print_notes, prompt_of, show_context

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence

    from ..conversation import Answer
    from ..core.estimate import Estimate
    from ..core.progress import Progress
    from ..core.receipt import Receipt
    from ..display import Live


@magics_class
class ChatMagics(NotebookMagics):
    """The magics that ask."""

    @no_var_expand
    @needs_local_scope
    @line_cell_magic
    @documented(chat_parser)
    def ogchat(
        self, line: str, cell: str | None = None, local_ns: Mapping[str, Any] | None = None
    ) -> Answer | Estimate | None:
        """Ask a model; the answer streams into the cell and leaves a receipt.

            %%ogchat [flags]                 the prompt is the cell
            %ogchat [flags] the prompt       the prompt is the rest of the line
            name = %ogchat [flags] prompt    the same, and the answer gets a name

        FLAGS

        Flags beat `%og use`, which beats the environment. {name}, {name.attribute} and {name["key"]} stand for what the
        notebook has under that name; {{name}} is {name}. All else is sent as typed: braces, quotes and $ included.
        """
        flags, rest = chat_parser().parse(line.removeprefix(ASSIGNED), prompt=cell is None)
        prompt = rest if cell is None else unix_lines(cell).removesuffix("\n")
        answer = self.ask(prompt, flags, local_ns)
        return answer if line.startswith(ASSIGNED) else None  # a cell would show a value once more

    def ask(self, prompt: str, flags: argparse.Namespace, local: Mapping[str, Any] | None = None) -> Answer | Estimate:
        """Ask with the flags of a cell, and show the answer there; or, with --dry-run, what it would cost.

        Args:
            local: the names of the function that asks, which come before the notebook's.

        Raises:
            UsageError: a mistake in the prompt or in a flag; nothing was sent.
            OGError: the call failed; its `.money` says what it means for the user's money.
        """
        from ..conversation import follow
        from ..core.progress import INTERRUPTED
        from ..display import live_for
        from ..session import confirm, confirm_estimate

        check_variable(flags.output)
        try:
            prompt = prompt_of(self._shell, prompt, local, variables=not flags.no_vars)
            turn = self._app.build_turn(prompt, options_of(flags), counted=not flags.dry_run)
            if flags.dry_run:
                return self._estimate([turn])
            show_context(self._shell, turn)
            for note in (*self._app.notes(), self._app.model_notice(turn.request.model)):
                if note:
                    print(note)
            if turn.place is not None and turn.place.note:
                print(turn.place.note)  # beside the answer, which is signed as it is
            run = self._app.start(turn, listening=True, approve=confirm_estimate)
            live = live_for(self._shell, run.progress, run.model, turn.format)
            try:
                for _ in follow([run], live.patience, confirm):
                    live.show()
                result = run.result()
            except KeyboardInterrupt:
                self._break_off(live, run.progress, INTERRUPTED, flags.output)
                raise
            except AnswerError as error:
                self._break_off(live, run.progress, error.answer.note)
                raise
            except OGError as error:
                self._break_off(live, run.progress, error.what)
                raise
        except ConfigError as error:
            raise unsent(error) from None
        self._finish(live, result.receipts, result.text, result.note, result.images or ())
        self._variable.refresh_after()
        if turn.format == "code" and result.text:
            self._propose(result.text)
        self._leave(result, flags.output)
        return result

    def _propose(self, text: str) -> None:
        """Put the code of an answer into a cell below, to be read. It is not run."""
        from ..display import first_code

        self._shell.set_next_input(first_code(text)[0])

    def _break_off(self, live: Live, progress: Progress, note: str, name: str | None = None) -> None:
        """Keep what had arrived, with its receipt, in the cell and in the variable of this name; or nothing."""
        from ..conversation import Answer

        if progress.receipt_id is None:
            live.drop()
            return
        # The receipt may hold more than was shown: what is shown now is what the receipt is about.
        receipts = [self._app.ledger.receipt(receipt_id) for receipt_id in progress.receipt_ids]
        last, parts = receipts[-1], progress.parts
        text = last.text or "".join(part for part in parts[-1:] if isinstance(part, str))
        if text or last.tool_calls or len(receipts) > 1:
            self._finish(live, receipts, text, note)
            if name:  # who stops an answer wants it as it is; `_` keeps the last complete one
                self._shell.user_ns[name] = Answer.broken_off(receipts, self._app.ledger.receipt, note)
        else:
            live.drop()
        self._variable.refresh_after()

    def _finish(
        self, live: Live, receipts: Sequence[Receipt], text: str, note: str = "", images: Sequence[str] = ()
    ) -> None:
        explorer, head = self._app.explorer(receipts[-1].network), self._app.head()
        live.finish(receipts, text, explorer, note, images, head, self._app.carried(receipts))
        print_notes(receipts[-1])
        self._app.track_display(receipts, live.refresh)
        if note := self._app.late_note():
            print(note)
