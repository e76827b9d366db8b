"""The keys of the prompt, copying and the focus: a script of our own that the front end runs once for a page.

It is an output of an Output widget in the panel, so nothing is fetched and nothing must be installed. Where a front end
runs no scripts, all else works: Send sends, a click on Copy shows the text to be copied.

Enter does not click on Send: what was typed last may be on its way still. It sends the whole prompt with a mark behind
it, in one message. The mark is a secret of the panel, so no text that is pasted can hold it.
"""

from __future__ import annotations

import secrets
from typing import Any

import ipywidgets as widgets

_CLASS = "og-sends-"

_SCRIPT = """
(() => {
  if (window.ogMagicsKeys) return;
  window.ogMagicsKeys = true;
  // After Enter, the box for the next prompt stays in view while the chat grows, until the reader scrolls.
  let sender = null;
  for (const event of ["wheel", "touchmove", "pointerdown"])
    window.addEventListener(event, () => sender = null, { capture: true, passive: true });
  const grown = new ResizeObserver(() => sender?.scrollIntoView({ block: "nearest" }));
  const prepare = () => {
    document.querySelectorAll(".og-panel:not([data-keys])").forEach(panel => panel.dataset.keys = "yes");
    for (const [name, role, label] of
         [["turns", "log", "conversation"], ["column-text", "group", "answer"], ["spoken", "status", "progress"]])
      for (const box of document.querySelectorAll(`.og-panel .og-${name}:not([role])`)) {
        box.setAttribute("role", role);
        box.setAttribute("aria-label", label);
        if (role === "status") continue;
        box.tabIndex = 0;
        box.setAttribute("aria-live", "off");  // who listens to a growing answer hears each word many times
        if (role === "log") grown.observe(box);
      }
  };
  new MutationObserver(prepare).observe(document.body, { childList: true, subtree: true });
  prepare();
  const area = target => target.matches?.(".og-panel .og-prompt textarea") ? target : null;
  const grow = box => {
    if (CSS.supports("field-sizing", "content")) return;
    box.style.height = "auto";
    box.style.height = `${box.scrollHeight + 2}px`;
  };
  window.addEventListener("input", event => area(event.target) && grow(event.target), true);
  window.addEventListener("keydown", event => {
    const box = area(event.target);
    if (!box || event.key !== "Enter" || event.isComposing || event.keyCode === 229) return;
    event.stopImmediatePropagation();
    const plain = !event.shiftKey && !event.altKey && !event.ctrlKey && !event.metaKey;
    const sends = plain ? box.closest(".og-enter-sends") : event.ctrlKey || event.metaKey;
    if (!sends) return;
    event.preventDefault();
    const mark = [...box.closest(".og-prompt").classList].find(name => name.startsWith("og-sends-"));
    if (!mark || !box.value.trim()) return;
    const text = box.value;
    box.value = `${text}\\u001e${mark}`;
    box.dispatchEvent(new Event("input", { bubbles: true }));
    box.value = text;
    sender = box.closest(".og-chat").querySelector(".og-send");
  }, true);
  const copy = async text => {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const place = document.body.appendChild(document.createElement("textarea"));
      place.value = text;
      place.select();
      document.execCommand("copy");
      place.remove();
    }
  };
  const say = (element, word) => {
    const before = element.textContent;
    if (before === word) return;
    element.textContent = word;
    setTimeout(() => element.textContent = before, 1500);
  };
  window.addEventListener("click", event => {
    const target = event.target;
    const button = target.closest?.(".og-panel .og-copy-answer");
    const raw = button?.closest(".og-turn").querySelector(".og-raw > .widget-html-content > pre");
    const cell = target.closest?.(".og-panel pre.og-copy");
    if (raw) {
      event.stopImmediatePropagation();
      copy(raw.textContent).then(() => { say(button, "Copied"); button.focus(); });
    } else if (cell) {
      copy(cell.textContent);
    } else if (target.closest?.(".og-panel .og-edit")) {
      const box = target.closest(".og-panel").querySelector(".og-prompt textarea");
      setTimeout(() => { box.focus(); box.setSelectionRange(box.value.length, box.value.length); grow(box); }, 300);
    }
  }, true);
})();
"""


class Keys:
    """The script, as a widget that takes no place, and the mark by which the kernel knows that Enter was pressed."""

    def __init__(self, prompt: Any) -> None:
        self.name = _CLASS + secrets.token_hex(16)
        prompt.add_class(self.name)
        output = {"output_type": "display_data", "data": {"application/javascript": _SCRIPT}, "metadata": {}}
        self.box = widgets.Output(outputs=(output,))
        self.box.add_class("og-keys")

    def sent(self, value: str) -> str | None:
        """Return the prompt that Enter has sent; None for a value that is only typed."""
        mark = "\x1e" + self.name
        return value.removesuffix(mark) if value.endswith(mark) else None
