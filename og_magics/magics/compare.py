"""%%ogcompare: one prompt to several models at once, their answers side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError
from IPython.core.magic import cell_magic, magics_class, no_var_expand

from ..core.errors import ConfigError
from .base import NotebookMagics, unsent
from .input_transform import unix_lines
from .parser import check_variable, compare_parser, documented, options_of
from .prompts import print_notes, prompt_of, show_context

if TYPE_CHECKING:
    from ..conversation import Comparison
    from ..core.receipt import Column
    from ..display import LiveColumns

_FEWEST, _MOST = 2, 8


@magics_class
class CompareMagics(NotebookMagics):
    """The magic that asks several models."""

    @no_var_expand
    @cell_magic
    @documented(compare_parser)
    def ogcompare(self, line: str, cell: str) -> None:
        """Ask several models at once, and see their answers side by side; each is paid and leaves its receipt.

            %%ogcompare -m MODEL -m MODEL [flags]      the prompt is the cell

        FLAGS

        2 to 8 models are asked, those of -p included. The result's `.frame` has one row a model: text, latency, tokens,
        cost, status. A model that fails does not keep the others from answering; the cell fails if all do. The prompt
        is sent as %%ogchat sends it.
        """
        from ..session import confirm_estimate

        flags, _ = compare_parser().parse(line, prompt=False)
        check_variable(flags.output)
        if not _FEWEST <= len(flags.asked) <= _MOST:
            raise UsageError(
                f"%%ogcompare asks {_FEWEST} to {_MOST} models, and {len(flags.asked)} are named. Name each: "
                "%%ogcompare -m gpt-5 -m claude-sonnet-4-6 -p google"
            )
        prompt = unix_lines(cell).removesuffix("\n")
        try:
            prompt = prompt_of(self._shell, prompt, variables=not flags.no_vars)
            options = options_of(flags)
            # All requests first: a mistake in one is reported before any is sent, and paid.
            turns = [
                self._app.build_turn(prompt, options.replace(model=model, provider=provider))
                for model, provider in flags.asked
            ]
            if flags.dry_run:
                self._estimate(turns)
                return
            show_context(self._shell, turns[0])
            for note in self._app.notes():
                print(note)
            for turn in turns:
                if notice := self._app.model_notice(turn.request.model):
                    print(notice)
            result = self._app.compare(turns, approve=confirm_estimate)
            try:
                self._watch(result, marks=flags.diff)
                if flags.rate and getattr(self._shell, "kernel", None) is not None:
                    self._show_stars(result)
            except KeyboardInterrupt:
                self._leave(result, flags.output)  # what had arrived
                raise
        except ConfigError as error:
            raise unsent(error) from None
        self._leave(result, flags.output)

    def _show_stars(self, comparison: Comparison) -> None:
        from IPython import display

        from ..widgets.rating import rating_box

        show: Any = display.display  # it has no types
        show(rating_box(comparison))

    def _watch(self, comparison: Comparison, *, marks: bool) -> None:
        from ..conversation import follow
        from ..display import HEARTBEAT, live_columns_for

        runs = comparison.runs
        progress = [run.progress for run in runs]
        live = live_columns_for(self._shell, [run.model for run in runs], progress, marks=marks)
        ended: dict[int, Column] = {}
        try:
            for _ in follow(runs, HEARTBEAT):
                ended |= {place: comparison[place].column for place, run in enumerate(runs) if _new(place, run, ended)}
                live.show(ended)
        finally:
            self._finish(live, comparison)
        failure = comparison.failure()
        if failure is not None:
            raise failure

    def _finish(self, live: LiveColumns, comparison: Comparison) -> None:
        """Show what each has answered, or what had arrived of that, with the receipts."""
        columns = comparison.columns
        images = [(part.result.images or () if part.result else ()) for part in comparison]
        receipts = [column.receipt for column in columns if column.receipt is not None]
        live.finish(columns, self._app.payment_page, self._app.head(), images, self._app.carried(receipts))
        if note := self._app.late_note():
            print(note)
        for part in comparison:
            if part.receipt is not None:
                print_notes(part.receipt, part.label)
        self._app.track_display(receipts, live.refresh)
        self._variable.refresh_after()


def _new(place: int, run: Any, ended: dict[int, Column]) -> bool:
    return run.done and place not in ended
