"""What comes from a model, a gateway or a user stays text: no script of it runs, and nothing is fetched for it."""

from __future__ import annotations

import json
import random
import warnings

import pytest
from nbconvert import HTMLExporter
from nbconvert.filters.markdown import markdown2html
from playwright.sync_api import Page, expect

from og_magics.display.markdown import to_html
from og_magics.display.sanitize import one_line, safe_markdown

from .front import Front
from .lab import Lab
from .payloads import IMG, PAYLOADS, A

pytestmark = pytest.mark.ci

TRAP = """
window.pwnedBy = [];
window.pwned = () => window.pwnedBy.push(String(new Error().stack));
document.addEventListener("load", event => event.target.dataset.loaded = "yes", true);
window.alert = window.confirm = window.prompt = window.pwned;
"""

AUDIT = """
scope => {
  const found = [];
  const never = "script iframe frame frameset object embed applet form base link meta video audio source template "
    + "image use animate set foreignobject maction";
  const asked = new Set("src srcset href xlink:href action formaction poster background data srcdoc ping".split(" "));
  for (const element of typeof scope === "string" ? document.querySelectorAll(scope + " *") : scope) {
    const markup = element.outerHTML.slice(0, 200);
    if (never.split(" ").includes(element.localName.toLowerCase())) found.push(markup);
    if (element.localName === "style" && /url\\(|@import|expression\\(/i.test(element.textContent)) found.push(markup);
    for (const { name, value } of element.attributes) {
      const plain = value.replace(/[\\u0000-\\u0020]/g, "").toLowerCase();
      // JupyterLab itself makes links of what looks like an address in plain text.
      if (element.closest(".jp-RenderedText") && !/^(java|vb)script:/.test(plain)) continue;
      if (/^on/i.test(name)) found.push(markup);
      else if (name === "style" && /url\\(|expression|position:fixed/.test(plain)) found.push(markup);
      else if (asked.has(name) && (element.localName === "a" || element.closest("math"))) {
        if (/^[a-z][a-z0-9+.-]*:/.test(plain) && !/^(https?|mailto|tel):/.test(plain)) found.push(markup);
      } else if (asked.has(name) && !plain.startsWith("data:image/") && !plain.startsWith("#")) found.push(markup);
    }
  }
  return found;
}
"""

ASK = """
import json
%xmode Minimal
def each(line, prompts):
    for flags, prompt in zip(line, prompts):
        try:
            get_ipython().run_cell_magic("ogchat", flags, prompt)
        except Exception:
            get_ipython().showtraceback()
payloads = json.loads({payloads!r})
numbers = range(len(payloads))
"""

COMPARE = """
for number, payload in enumerate(payloads):
    if number % 3 == 0:
        models = " ".join("-m x/" + json.dumps("".join(other.split())) for other in payloads[number : number + 3])
        try:
            get_ipython().run_cell_magic("ogcompare", models, f"{('answer', 'error', 'broken')[number // 3 % 3]} {number}")
        except Exception:
            get_ipython().showtraceback()
"""

CHANNELS = {
    "answer": "each([''] * len(payloads), [f'answer {n}' for n in numbers])",
    "prompt": "each(['--no-vars -n 60'] * len(payloads), payloads)",
    "model": "each([f'-m x/{json.dumps(p)}' for p in payloads], ['model'] * len(payloads))",
    "model without spaces": "each(['-m x/' + json.dumps(''.join(p.split())) for p in payloads], ['model'] * len(payloads))",
    "error": "each([''] * len(payloads), [f'error {n}' for n in numbers])",
    "comparison": COMPARE,
    "broken stream": "each([''] * len(payloads), [f'broken {n}' for n in numbers])",
}


@pytest.fixture
def script(front: Front) -> Front:
    """The front's answers: every payload, by every way that a gateway has to say something."""
    for number, payload in enumerate(PAYLOADS):
        front.answers[f"answer {number}"] = payload
        front.errors[f"error {number}"] = payload
        front.breaks[f"broken {number}"] = payload
    front.answers["model"] = "Answered."
    return front


def settled(page: Page) -> None:
    """Wait until the page has loaded and drawn, and what its handlers started has had its turn."""
    page.wait_for_load_state("load")
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    page.wait_for_timeout(500)


def harmless(lab: Lab, scope: str = ".jp-OutputArea-output") -> None:
    """Nothing ran, nothing was asked for, and nothing stands there that could."""
    page = lab.page
    settled(page)
    assert page.evaluate("window.pwnedBy") == []
    assert [url for url in lab.strayed if A in url] == []
    assert page.evaluate(AUDIT, scope) == []


def test_there_are_enough_payloads() -> None:
    assert len(set(PAYLOADS)) == len(PAYLOADS) >= 50


@pytest.mark.parametrize("channel", list(CHANNELS))
def test_no_payload_does_anything_in_a_cell(lab: Lab, script: Front, channel: str) -> None:
    lab.page.add_init_script(TRAP)
    prepare = "%load_ext og_magics\n" + ASK.format(payloads=json.dumps(PAYLOADS))
    lab.open(prepare, CHANNELS[channel], "og_receipts", "%og receipts", kernel="front").run_all().finished(0, 1, 2, 3)
    harmless(lab)
    lab.assert_nothing_strayed()
    lab.screenshot(f"injection-{channel}")
    if channel == "answer":
        # The footers, and no forged one. The last of them may still be drawn.
        expect(lab.output(1).locator("summary sub")).to_have_count(len(PAYLOADS), timeout=30_000)
    saved = lab.save()
    lab.show()
    harmless(lab)
    lab.assert_nothing_strayed()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Your element with mimetype")  # a piece of a long answer: no data is left
        page, _ = HTMLExporter().from_notebook_node(saved)
    lab.file("exported.html").write_text(page, encoding="utf-8")
    lab.page.goto(lab.file("exported.html").as_uri())
    harmless(lab)  # its own scripts come from elsewhere, and are not let through


FORMATS = """
from og_magics.display.formats import shown_as_format
for payload in payloads:
    for format in ("text", "json", "code", "math", "html"):
        display(shown_as_format(payload, format), raw=True)
"""


def test_no_payload_does_anything_in_an_answer_of_another_format(lab: Lab) -> None:
    lab.page.add_init_script(TRAP)
    prepare = ASK.format(payloads=json.dumps(PAYLOADS))
    lab.open(prepare, FORMATS).run_all().finished(0, 1)
    expect(lab.output(1).locator(".jp-OutputArea-output")).to_have_count(5 * len(PAYLOADS))
    frames = lab.output(1).locator('iframe[sandbox=""][srcdoc]')
    expect(frames).to_have_count(len(PAYLOADS))
    expect(lab.output(1).locator("iframe[data-loaded]")).to_have_count(len(PAYLOADS))
    lab.assert_nothing_strayed()
    frames.evaluate_all("frames => frames.forEach(frame => frame.remove())")
    assert lab.page.evaluate("window.pwnedBy") == []
    assert lab.page.evaluate(AUDIT, ".jp-OutputArea-output") == []
    lab.assert_nothing_strayed()


WATCHED = """
audit => {
  const check = eval(audit);
  window.seen = [], window.read = 0;
  // Each change is read where it was made: what it added, with all that is in it, and the element that it changed.
  new MutationObserver(changes => {
    const changed = new Set();
    for (const { target, addedNodes } of changes) {
      changed.add(target.nodeType === 1 ? target : target.parentElement);
      for (const node of addedNodes)
        if (node.nodeType === 1) [node, ...node.querySelectorAll("*")].forEach(one => changed.add(one));
    }
    const inside = [...changed].filter(one => one && one.closest(".og-panel"));
    window.read += inside.length;
    window.seen.push(...check(inside));
  }).observe(document.body, { subtree: true, childList: true, attributes: true, characterData: true });
}
"""

IN_PANEL = """
import time
from IPython.display import display
import og_magics as og
shown = og.panel()
display(shown)
"""

CLICKS = """
import og_magics.widgets.worker as worker
worker._QUIET = 0.02  # these clicks come one after another, and there are hundreds

def ask(prompt, model=""):
    if model:
        shown.choice.other.value = "x/" + "".join(model.split())
    shown.ask.prompt.value = prompt
    shown.ask.send.click()
    while shown.ask.send.disabled:
        time.sleep(0.01)
    shown.ask.turns[-1].cell.click()

def compare(prompt, *models):
    shown.ask.prompt.value = prompt
    for box, model in zip(shown.compare.models, (*models, "", "", "")):
        box.value = model and "x/" + "".join(model.split())
    shown.compare.send.click()
    while shown.compare.send.disabled:
        time.sleep(0.01)

for number, payload in enumerate(payloads):
    ask(f"answer {number}", payload)
shown.choice.other.value = "openai/gpt-5"
og.session.current().update_settings(max_tokens=60)  # the devnet's answer begins with its prompt
for number, payload in enumerate(payloads):
    ask((f"error {number}", f"broken {number}", payload)[number % 3])
    og.session.current().update_settings(system=payload)
for number, payload in enumerate(payloads):
    if number % 6 == 0:
        compare(f"{('answer', 'error', 'broken')[number % 3]} {number}", *payloads[number : number + 3])
"""


def test_no_payload_does_anything_in_a_panel(lab: Lab, script: Front) -> None:
    lab.page.add_init_script(TRAP)
    prepare = "%load_ext og_magics\n" + ASK.format(payloads=json.dumps(PAYLOADS))
    lab.open(prepare, IN_PANEL, CLICKS, kernel="front").run(0).run(1).finished(0, 1)
    lab.page.evaluate(WATCHED, AUDIT)
    lab.run(2).finished(2, within=300)
    expect(lab.output(1).locator(".og-receipts tbody tr")).to_have_count(10)
    for tab in ("Receipts", "Wallet", "Parameters", "Compare", "Health"):
        lab.output(1).get_by_role("tab", name=tab).click()
        lab.screenshot(f"injection-panel-{tab}".lower())
    harmless(lab)
    assert lab.page.evaluate("window.seen") == []
    assert lab.page.evaluate("window.read") > 1000  # it did look
    lab.assert_nothing_strayed()
    assert "Error" not in lab.output(2).inner_text()
    lab.save()
    lab.server.end_kernels()
    lab.show()
    harmless(lab)
    lab.assert_nothing_strayed()


FRAGMENTS = [
    *f"{IMG} ` `` ``` ```` ~~~ ~~~~ $ $$ \\\\( \\\\) \\( \\[ \\] \\ < > & &lt; &#96; ! ![ [ ] ]( ]: ( ) | * ** _ ~~".split(
        " "
    ),
    *"# - 1. > ' \" <!-- --> <pre> </pre> <code> </code> <script> </script> </p> x a:b @@0@@ \\begin{a} \\end{a}".split(
        " "
    ),
    *f"www.{A}/ https://{A}/ javascript: javascript:pwned() ![x](https://{A}/f.png) <https://{A}/ title= <b".split(" "),
    *"[x]: [x] mermaid html <?x ?> <!X <![CDATA[ ]]> </ <a \\` \\![ \\[ \\< \\: : {{ }} % ^ = == ===".split(" "),
    *[" ", " ", "  ", "    ", "\t", "\n", "\n", "\n", "\n\n", "\n\n", "\n```\n", "\n> ", "\n- ", "\r", "\x0b"],
]

RENDER = """
async ([texts, audit]) => {
  const rendermime = jupyterapp.shell.currentWidget.content.rendermime;
  const box = document.body.appendChild(document.createElement("div"));
  box.id = "fuzz";
  const check = eval(audit), found = [];
  for (const text of texts) {
    const model = rendermime.createModel({ data: { "text/markdown": text }, trusted: true });
    const renderer = rendermime.createRenderer("text/markdown");
    box.replaceChildren(renderer.node);
    await renderer.renderModel(model);
    const seen = check("#fuzz");
    if (seen.length) found.push([text, seen]);
    renderer.dispose();
  }
  return found;
}
"""


INSERT = """
([pages, audit]) => {
  const box = document.getElementById("fuzz"), check = eval(audit), found = [];
  for (const [text, html] of pages) {
    box.innerHTML = html;
    const seen = check("#fuzz");
    if (seen.length) found.push([text, html, seen]);
  }
  return found;
}
"""


def texts(seed: int, count: int) -> list[str]:
    """Texts that are made of what parsers stumble over, the same for each seed."""
    chosen = random.Random(seed)
    return ["".join(chosen.choices(FRAGMENTS, k=chosen.randint(3, 30))) for _ in range(count)]


def test_renderers_find_nothing_but_text_in_what_parsers_stumble_over(lab: Lab) -> None:
    lab.page.add_init_script(TRAP)
    lab.open("1")
    safe = [safe_markdown(text) for text in [*PAYLOADS, *texts(402, 1500)]]
    safe += [f"**{one_line(text, 2000)}**\n\n<sub>{one_line(text, 2000)} · x</sub>" for text in texts(403, 500)]
    assert lab.page.evaluate(RENDER, [safe, AUDIT]) == []
    exported = [[text, markdown2html(text)] for text in safe]
    panel = [[text, to_html(text)] for text in [*PAYLOADS, *texts(404, 1500)]]
    assert lab.page.evaluate(INSERT, [[*exported, *panel], AUDIT]) == []
    settled(lab.page)
    assert lab.page.evaluate("window.pwnedBy") == []
    lab.assert_nothing_strayed()
