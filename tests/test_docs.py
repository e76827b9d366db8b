"""The manual builds without a warning, holds all that there is, and what it shows runs."""

from __future__ import annotations

import argparse
import html
import json
import re
import runpy
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager
from nbclient import NotebookClient

import og_magics
from og_magics.core.options import ENVIRONMENT, SETTINGS
from og_magics.devnet import Devnet
from og_magics.magics.og import OgMagics
from og_magics.magics.og_parsers import PARSERS, PROMPTED
from og_magics.magics.parser import Parser, chat_parser, compare_parser, many_parser
from og_magics.magics.threads import threads_parsers

pytestmark = pytest.mark.ci


ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted((ROOT / "docs").glob("*.md"))
TEXTS = [*PAGES, ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
GENERATED = runpy.run_path(str(ROOT / "docs" / "generated.py"))

ASKING = {
    "%%ogchat": chat_parser(),
    "%ogchat": chat_parser(),
    "%%ogcompare": compare_parser(),
    "%%ogmany": many_parser(),
}
VERBS = OgMagics.__new__(OgMagics).verbs()
"""Of %og. To list them, no notebook is needed."""

_BLOCK = re.compile(r"^(?P<fence>```+)(?P<kind>\w*)\n(?P<text>.*?)^(?P=fence)$", re.M | re.S)
_OTHERS = {"--strict", "--check", "--attestation", "--no-deps"}
"""Flags of other programs that a page names."""


def blocks(page: Path, *kinds: str) -> list[str]:
    return [found["text"] for found in _BLOCK.finditer(page.read_text()) if found["kind"] in kinds]


def flags_of(parser: argparse.ArgumentParser) -> set[str]:
    return {flag for action in parser._actions for flag in action.option_strings}


def magic_flags() -> set[str]:
    parsers: list[Parser] = [*ASKING.values(), *(make() for make in PARSERS.values()), *threads_parsers().values()]
    return set().union(*map(flags_of, parsers))


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "properdocs", "build", "--strict", "-f", "mkdocs.yml", "-d", str(folder)],
        cwd=ROOT, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    told = done.stdout + done.stderr
    assert done.returncode == 0, told
    assert "WARNING" not in told
    return folder


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self.fetched: list[str] = []

    def handle_data(self, data: str) -> None:
        self.parts.append(data)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        address = found.get("href") if tag == "link" else found.get("src")
        if address:
            self.fetched.append(address)


def read(page: Path) -> _Text:
    parsed = _Text()
    parsed.feed(page.read_text())
    return parsed


@pytest.fixture(scope="module")
def shown(site):
    """The text of a built page."""
    return lambda name: " ".join("".join(read(site / f"{name}.html").parts).split())


def holds(text: str, flag: str) -> bool:
    return re.search(rf"(?<![\w-]){re.escape(flag)}(?![\w-])", text) is not None


def test_every_flag_of_every_magic_is_in_the_reference(shown):
    text = shown("magics")
    assert [flag for flag in sorted(magic_flags()) if not holds(text, flag)] == []


def test_every_verb_is_in_the_reference(shown):
    text = shown("magics")
    assert [verb for verb in VERBS if verb and verb != "status" and not holds(text, f"%og {verb}")] == []
    assert [verb for verb in threads_parsers() if not holds(text, f"%og threads {verb}")] == []


def test_every_setting_is_told_with_what_it_is(shown):
    text = shown("settings")
    assert [name for name in ENVIRONMENT if not holds(text, name)] == []
    assert [name for name, option in SETTINGS.items() if not option.help] == []


def test_every_public_name_has_its_entry(site):
    entries = set(re.findall(r'id="og_magics\.([\w.]+)"', (site / "api.html").read_text()))
    homes = {entry.rpartition(".")[2] for entry in entries}
    wanted = [name for name in og_magics.__all__ if not name.startswith("__") and name not in ("agents", "errors")]
    assert [name for name in wanted if name not in homes] == []


def test_every_error_says_what_it_means_and_what_of_the_money(shown):
    kinds = [kind.__name__ for kind in GENERATED["error_classes"]()]
    assert sorted(kinds) == sorted(GENERATED["MONEY"])
    text = shown("errors")
    assert [name for name in kinds if text.count(name) < 2] == []  # in the tree, and in the table
    assert all(GENERATED["MONEY"][name] in html.unescape(text).replace("`", "") for name in kinds if name != "OGError")


def test_every_verb_and_option_of_the_shell_is_in_the_reference(shown):
    verbs = GENERATED["cli_verbs"]()
    text = shown("cli")
    assert {"devnet", "run", "receipts", "verify", "models"} <= set(verbs)
    assert [verb for verb in verbs if f"usage: og-magics {verb}" not in text] == []


def test_a_reader_fetches_nothing_from_elsewhere(site):
    for page in site.glob("**/*.html"):
        assert [address for address in read(page).fetched if re.match(r"(https?:)?//", address)] == []
    for sheet in site.glob("**/*.css"):
        assert re.findall(r"url\([\"']?(?:https?:)?//|@import", sheet.read_text()) == []


def test_a_page_names_no_flag_verb_or_setting_that_is_not_there(shown):
    flags = magic_flags() | set(re.findall(r"--[a-z][\w-]*", shown("cli")))
    commands = [*(ROOT / "tests").glob("*.py"), *(ROOT / "benchmarks").glob("*.py")]
    flags |= set(re.findall(r'"(--[a-z][\w-]*)"', "".join(map(Path.read_text, commands))))
    read_elsewhere = set(re.findall(r"\b(?:OG|BASE)_[A-Z_]+\b", "".join(map(str, map(Path.read_text, sources())))))
    for page in TEXTS:
        text = page.read_text()
        spoken = " ".join(re.findall(r"`[^`\n]*`", text))
        assert set(re.findall(r"(?<![\w-])--[a-z][\w-]*", spoken)) - flags - _OTHERS == set(), page.name
        assert set(re.findall(r"\bOG_[A-Z_]+\b", text)) - read_elsewhere == set(), page.name
        verbs = set(re.findall(r"%og ([a-z]+)", spoken))
        assert verbs - set(VERBS) - {"help"} == set(), page.name


def sources() -> list[Path]:
    tests = ROOT / "tests"
    return [
        *(ROOT / "og_magics").rglob("*.py"),
        tests / "test_binder.py",
        tests / "conftest.py",
        tests / "commonmark.py",
        *(tests / "browser").glob("*.py"),
        *(tests / "serve").glob("*.py"),
    ]


@pytest.mark.parametrize("page", TEXTS, ids=lambda page: page.stem)
def test_each_cell_in_a_page_parses_as_the_magics_do(page):
    for text in blocks(page, "ipython", "python", "text", ""):
        first, _, rest = text.partition("\n")
        name, _, flags = first.partition(" ")
        if name in ("%%ogchat", "%%ogcompare", "%%ogmany"):
            ASKING[name].parse(flags, prompt=name == "%%ogmany")
            assert rest.strip(), first
            continue
        for line in text.splitlines():
            name, _, flags = line.partition(" ")
            if name == "%ogchat" and "[" not in flags:
                assert ASKING[name].parse(flags, prompt=True)[1]
            elif name == "%og" and "[" not in flags and "ipython" in page.read_text():
                verb, _, rest = flags.partition(" ")
                assert verb in VERBS, line
                if verb in PARSERS:
                    PARSERS[verb]().parse(rest, prompt=verb in PROMPTED)


@pytest.mark.parametrize("page", TEXTS, ids=lambda page: page.stem)
def test_each_command_in_a_page_is_one_of_the_shell(page):
    for text in blocks(page, "shell", "yaml", "text", ""):
        for line in re.findall(r"(?:^|[ =])(?:\S*/)?og-magics (.+)$", text, re.M):
            verb, *words = line.split()
            assert verb in GENERATED["cli_verbs"](), line
            told = GENERATED["_help"](verb)
            assert [word for word in words if word.startswith("--") and not holds(told, word)] == [], line


@pytest.mark.parametrize("page", TEXTS, ids=lambda page: page.stem)
def test_python_in_a_page_is_python(page):
    for text in blocks(page, "ipython", "python"):
        code = TransformerManager().transform_cell(text)
        compile(code, page.name, "exec", flags=0x2000)  # PyCF_ALLOW_TOP_LEVEL_AWAIT


@pytest.mark.parametrize("page", TEXTS, ids=lambda page: page.stem)
def test_a_link_to_a_file_leads_to_one(page):
    for address in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text()):
        if not address.startswith(("http:", "https:", "#")):
            assert (page.parent / address).exists(), address


@pytest.fixture(scope="module")
def devnet():
    with Devnet(settle_after=1, batch_after=0.5, token_delay=0.001) as running:
        yield running


RUN = [page for page in PAGES if blocks(page, "ipython")]


@pytest.mark.parametrize("page", RUN, ids=lambda page: page.stem)
def test_the_cells_of_a_page_run_in_their_order_on_the_devnet(page, tmp_path, devnet, bare_environment):
    told = {"HOME": str(tmp_path), "OG_DEVNET": json.dumps(devnet.info)}
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(text.removesuffix("\n")) for text in blocks(page, "ipython")]
    )
    NotebookClient(
        notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute(env=bare_environment() | told)
    assert all(cell.execution_count for cell in notebook.cells)
