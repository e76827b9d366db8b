"""Seams between pieces of one block: rules by which a front end draws them as one, so that nothing gets lower later."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import uuid4

_OUTPUT = ".jp-OutputArea-child"
_SHOWN = ".jp-RenderedHTMLCommon"

_LEAST = 44
"""Pixels of a lower half: of the status line before it, and of the space below the upper half that is taken away."""


class Seams:
    """The rules of one row of outputs, in an output of their own at a place of the row; it has no height.

    JupyterLab and Notebook 7 draw a space above and below each block, and do not let those of two outputs collapse: the
    halves of a block would be taller than the block. Elsewhere the rules mean nothing.
    """

    def __init__(self, place: int) -> None:
        self.place = place
        self._name = f"og-{uuid4().hex}"

    def bundle(self, seams: Iterable[tuple[int, int]]) -> dict[str, str]:
        """Return the output for seams, in their order: the places of an upper and a lower half."""
        rules = "".join(
            self._rules(self._between(upper, last), self._between(lower, end), lower - upper)
            for upper, last, lower, end in self._runs(seams)
        )
        return {"text/html": f'<style class="{self._name}">{rules}</style>'}

    def _runs(self, seams: Iterable[tuple[int, int]]) -> list[tuple[int, int, int, int]]:
        """Return seams whose outputs follow one another as one: the first and the last upper half, and lower half."""
        runs: list[tuple[int, int, int, int]] = []
        for upper, lower in seams:
            if runs and self.place < runs[-1][0] and runs[-1][3] == upper:
                first, _, second, _ = runs.pop()
                runs.append((first, upper, second, lower))
            else:
                runs.append((upper, upper, lower, lower))
        return runs

    @staticmethod
    def _rules(upper: str, lower: str, apart: int) -> str:
        # A paragraph at the end of an upper half is the status line that goes away with this. The space below the upper
        # half goes away when there is something in the lower one.
        return (
            f"{upper}:has({'+*' * apart} {_SHOWN}>*) {_SHOWN}>:not(p):last-child{{margin-bottom:0}}"
            f"{lower}{{padding-top:0!important}}"  # which it has in the box that Notebook 7 puts long outputs into
            f"{lower} {_SHOWN}>:first-child{{margin-top:0;min-height:{_LEAST}px}}"
            f"{lower} {_SHOWN}>table:first-child{{height:{_LEAST}px}}"  # of a table that is the least, too
        )

    def _at(self, place: int) -> str:
        """Return the selector of the output at a place of the row."""
        if place < self.place:
            return f"{_OUTPUT}:has({'+*' * (self.place - place)} .{self._name})"
        return f"{_OUTPUT}:has(.{self._name}){'+*' * (place - self.place)}"

    def _between(self, first: int, last: int) -> str:
        """Return the selector of the outputs from a place to another; two places stand behind this one."""
        return self._at(first) if first == last else f"{self._at(first - 1)}~*:not({self._at(last)}~*)"
