"""%%ogmany: one question for each row of a DataFrame."""

from __future__ import annotations

from typing import Any

from IPython.core.error import UsageError
from IPython.core.magic import cell_magic, magics_class, no_var_expand

from ..core.errors import ConfigError
from .base import NotebookMagics, unsent
from .input_transform import unix_lines
from .parser import check_variable, documented, many_parser, options_of


@magics_class
class ManyMagics(NotebookMagics):
    """The magic that asks for each row."""

    @no_var_expand
    @cell_magic
    @documented(many_parser)
    def ogmany(self, line: str, cell: str) -> None:
        """Ask a model for each row of a DataFrame.

            %%ogmany [flags] FRAME      the cell is the template: {column} stands for the row's value

        FLAGS

        It is `og.ask_many(FRAME, template=...)`: the result's `.frame` has a row for each answer, with a column for
        each field of the --schema. With --out the same cell again goes on where it was ended; `_.resume()` does, too.
        {{ and }} are braces.
        """
        from ..conversation import PATIENCE, Interrupted
        from ..display import show_or_print
        from ..session import BatchRequest

        flags, name = many_parser().parse(line, prompt=True)
        check_variable(flags.output)
        try:
            request = BatchRequest(
                self._frame(name), _number(flags.concurrency), unix_lines(cell).removesuffix("\n"), flags.out,
                flags.max_failures, PATIENCE, True, options_of(flags), flags.table,
            )  # fmt: skip
            if flags.dry_run:
                estimate = request.estimate()
                show_or_print(self._shell, estimate.bundle())
                self._leave(estimate, None)
                return
            for note in self._app.notes():
                print(note)
            try:
                result = request.start().wait()
            except Interrupted as interrupt:
                self._leave(interrupt.partial, flags.output)
                raise
        except ConfigError as error:
            raise unsent(error) from None
        self._variable.refresh_after()
        self._leave(result, flags.output)

    def _frame(self, name: str) -> Any:
        """Return the DataFrame of this name.

        Raises:
            UsageError: there is none.
        """
        import pandas as pd

        if not name:
            raise UsageError("%%ogmany asks for each row of a DataFrame: name it, after the flags. %%ogmany FRAME")
        frame = self._shell.user_ns.get(name)
        if isinstance(frame, pd.DataFrame):
            return frame
        names = [name for name in self._shell.user_ns if name[0] != "_" and name != "og_receipts"]
        frames = [name for name in names if isinstance(self._shell.user_ns[name], pd.DataFrame)]
        there = f" There are: {', '.join(sorted(frames)[:10])}." if frames else ""
        raise UsageError(f"%%ogmany: {name[:60]!r} is not a DataFrame of this notebook.{there} Flags come before it.")


def _number(text: str) -> int | str:
    return int(text) if text.isdecimal() else text
