"""What front ends that do not run here show of a kernel's messages, by the rules that are public.

| | Colab, as Jupyter's own | VS Code |
|---|---|---|
| a display, a print | an output of the cell whose request it answers | the same |
| an update of a display | in the place of each output of that name; without one, nothing | the same |
| while an Output widget takes a request's output | it is the widget's, where updates are dropped | the same; but what has a type that widgets cannot draw is put below it, and goes with what the widget clears: a type of a vendor (the widget draws what else there is), the view of another Output widget |
| a widget's state | it is drawn anew | the same |
| an output without data | nothing | nothing: it is 0 pixels high |
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from .places import VIEW, shown

_OUTPUTS = ("display_data", "execute_result", "stream", "error")


class Screen:
    """A notebook as Jupyter's rules show it.

    Attributes:
        outputs: of each cell, by any name of it.
        states: of widgets, by the ids of their models.
        cells: the cell that a request's output belongs to, by the request's id.
    """

    def __init__(self) -> None:
        self.outputs: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        self.states: dict[str, dict[str, Any]] = {}
        self.cells: dict[str, str] = {}
        self._taking: defaultdict[str, list[str]] = defaultdict(list)
        self._clearing: set[int] = set()

    def text(self, cell: str) -> str:
        """Return what a reader sees below a cell."""
        return shown(self.outputs[cell], self.states)

    def newest(self, model: str) -> str:
        """Return the id of the newest widget of a kind."""
        return [id for id, state in self.states.items() if state.get("_model_name") == model][-1]

    def take(self, request: str, message: Mapping[str, Any]) -> None:
        """Show a message that answers a request."""
        kind, content = message["msg_type"], message["content"]
        if kind == "comm_open" and content.get("target_name") == "jupyter.widget":
            self.states[content["comm_id"]] = {}
            self._change(content["comm_id"], content["data"].get("state", {}))
        elif kind == "comm_msg" and content["data"].get("method") == "update":
            self._change(content["comm_id"], content["data"]["state"])
        elif kind in _OUTPUTS and request in self.cells:
            output = {"output_type": kind, **content}
            if taking := self._taking[request]:
                self._into_widget(taking[-1], self.cells[request], output)
            else:
                self._append(self.outputs[self.cells[request]], output)
        elif kind == "update_display_data":
            self._update(content)
        elif kind == "clear_output" and request in self.cells:
            if taking := self._taking[request]:
                self._clear_widget(taking[-1], wait=content["wait"])
            else:
                self._clear(self.outputs[self.cells[request]], wait=content["wait"])

    def _of(self, model: str) -> list[dict[str, Any]]:
        outputs = self.states[model]["outputs"] = list(self.states[model].get("outputs", ()))
        return outputs

    def _change(self, model: str, state: Mapping[str, Any]) -> None:
        if "msg_id" in state:
            if before := self.states[model].get("msg_id"):
                self._taking[before].remove(model)
            if state["msg_id"]:
                self._taking[state["msg_id"]].append(model)
        if "outputs" in state:
            state = {**state, "outputs": list(state["outputs"])}
        self.states[model].update(state)

    def _into_widget(self, model: str, cell: str, output: dict[str, Any]) -> None:
        outputs: list[dict[str, Any]] = self.states[model].setdefault("outputs", [])
        self._append(outputs, output)

    def _append(self, outputs: list[dict[str, Any]], output: dict[str, Any]) -> None:
        if id(outputs) in self._clearing:
            self._clearing.remove(id(outputs))
            outputs.clear()
        last = outputs[-1] if outputs else {}
        if output["output_type"] == "stream" and last.get("name") == output["name"]:
            last["text"] += output["text"]
        else:
            outputs.append(output)

    def _clear(self, outputs: list[dict[str, Any]], *, wait: bool) -> None:
        if wait:
            self._clearing.add(id(outputs))
        else:
            outputs.clear()

    def _clear_widget(self, model: str, *, wait: bool) -> None:
        self._clear(self._of(model), wait=wait)

    def _update(self, content: Mapping[str, Any]) -> None:
        name = content["transient"]["display_id"]
        for outputs in self.outputs.values():
            for output in outputs:
                if (output.get("transient") or {}).get("display_id") == name:
                    output["data"] = content["data"]


class VSCode(Screen):
    """The same by VS Code's rules."""

    def __init__(self) -> None:
        super().__init__()
        self._below: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        self._clearing_below: set[str] = set()

    def _clear_widget(self, model: str, *, wait: bool) -> None:
        super()._clear_widget(model, wait=wait)
        self._clearing_below.add(model)
        if not wait:
            self._clear_below(model)

    def _clear_below(self, model: str) -> None:
        self._clearing_below.discard(model)
        gone = {id(one) for one in self._below.pop(model, ())}
        for outputs in self.outputs.values():
            outputs[:] = [one for one in outputs if id(one) not in gone]

    def _into_widget(self, model: str, cell: str, output: dict[str, Any]) -> None:
        if not self._is_output_widget(output):
            super()._into_widget(model, cell, output)
        if all(self._widgets_can_draw(kind, output) for kind in output.get("data", {})):
            return
        if model in self._clearing_below:
            self._clear_below(model)
        self._below[model].append(output)
        owner = next((one for one, outputs in self.outputs.items() if any(map(self._views(model), outputs))), cell)
        place = [bool(self._views(model)(one)) for one in self.outputs[owner]]
        self.outputs[owner].insert(place.index(True) + 1 if True in place else len(place), output)

    def _views(self, model: str) -> Any:
        parents = [
            id for id, state in self.states.items() if f"IPY_MODEL_{model}" in state.get("children", ())
        ]  # fmt: skip
        wanted = {model, *parents}
        return lambda output: (output.get("data") or {}).get(VIEW, {}).get("model_id") in wanted

    def _is_output_widget(self, output: Mapping[str, Any]) -> bool:
        model = (output.get("data") or {}).get(VIEW, {}).get("model_id")
        return self.states.get(model, {}).get("_model_name") == "OutputModel"

    def _widgets_can_draw(self, kind: str, output: Mapping[str, Any]) -> bool:
        return not self._is_output_widget(output) if kind == VIEW else not kind.startswith("application/vnd")
