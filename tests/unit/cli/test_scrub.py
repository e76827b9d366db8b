"""A notebook for publication: what is taken out of it, what still proves something, and what it cannot be turned into."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from og_magics.cli import main
from og_magics.core.progress import SCRUBBED
from og_magics.core.receipt import MIME, Column, Receipt
from og_magics.core.settings import Settings
from og_magics.devnet.gateway.enclave import Enclave
from og_magics.display import answer_bundle, columns_bundle
from og_magics.display.panel_snapshot import SUMMARY, ChatText, Totals, summary_bundle
from og_magics.display.turn_bundle import turn_bundle
from og_magics.ledger import receipts_frame
from og_magics.magics.og_parsers import use_parser
from og_magics.magics.parser import chat_parser, compare_parser
from og_magics.notebook.file import receipts_in
from og_magics.notebook.scrub_source import scrubbed_source

from .conftest import answered

if TYPE_CHECKING:
    from .conftest import Verifier

ROOT = Path(__file__).parents[3]
KEY = "c0ffee" + "5e" * 29
HASH = "0x" + "7d" * 32
QUESTION, ANSWER = "Who pays for the secret harvest festival?", "The **secret** treasurer pays for it,\n\nevery year."


@pytest.fixture(scope="module")
def secret(enclave: Enclave) -> Receipt:
    return answered(enclave, QUESTION, ANSWER)


@pytest.fixture
def scrub(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs `og-magics scrub` on a notebook: (status, the notebook that came of it, what was told)."""

    def run(content: dict[str, Any], *flags: str) -> tuple[int, dict[str, Any], str]:
        path, output = tmp_path / "n.ipynb", tmp_path / "n.scrubbed.ipynb"
        path.write_text(json.dumps(content))
        output.unlink(missing_ok=True)
        status = main(["scrub", str(path), *flags])
        told = capsys.readouterr()
        return status, json.loads(output.read_text()) if output.exists() else {}, told.out + told.err

    return run


def code(source: str, *outputs: Any) -> dict[str, Any]:
    return {"cell_type": "code", "source": source, "outputs": [*outputs], "metadata": {}}


def printed(text: str) -> dict[str, Any]:
    return {"output_type": "stream", "name": "stdout", "text": text.splitlines(keepends=True)}


def shown(bundle: dict[str, Any]) -> dict[str, Any]:
    return {"output_type": "display_data", "data": json.loads(json.dumps(bundle)), "metadata": {}}


class TestWhatIsTakenOut:
    def test_nothing_that_was_asked_or_answered_is_left_and_hashes_signature_and_payment_are(
        self, verify: Verifier, scrub: Any, secret: Receipt
    ) -> None:
        paid = replace(secret, payment_hash=HASH, cost=10**15, status="settled", error="it is secret")
        content = verify.notebook(paid, head=(7, "a" * 64))
        content["cells"][0]["outputs"] += [printed("a secret remark\n"), shown({"text/html": "<b>secret</b>"})]
        status, kept, told = scrub(content)
        assert (status, "1 receipts are left" in told) == (0, True)
        for word in ("secret", "treasurer", "festival"):
            assert word not in json.dumps(kept)
        form = kept["cells"][0]["outputs"][0]["data"][MIME]
        receipt = Receipt.from_json(form)
        assert receipt == replace(paid.without_text())
        assert (receipt.tee_signature, receipt.payment_hash) == (paid.tee_signature, HASH)
        assert form["ledger"] == {"length": 7, "head": "a" * 64}
        assert kept["cells"][0]["source"] == f"%%ogchat -p openai\n{SCRUBBED}"

    def test_each_receipt_of_a_comparison_and_of_a_turn_stays(
        self, scrub: Any, verify: Verifier, enclave: Enclave
    ) -> None:
        one, other = (replace(answered(enclave, QUESTION, ANSWER + name), receipt_id=name) for name in "AB")
        compared = shown(columns_bundle([Column(one.model, one), Column(other.model, other)], lambda *_: ""))
        turn = shown(turn_bundle([one, other], other.text, lambda _: ""))
        _, kept, _ = scrub(
            {"cells": [code(f"%%ogcompare -m gpt-5 -m gpt-5\n{QUESTION}", compared), code("ask()", turn)]}
        )
        assert "secret" not in json.dumps(kept)
        found = verify(kept)
        assert [row["receipt_id"] for row in found.rows] == ["A", "B", "A", "B"]
        assert (found.status, found.ok()) == (0, [True] * 4)

    def test_other_cells_stay_as_they_are_unless_they_repeat_it(
        self, scrub: Any, verify: Verifier, secret: Receipt
    ) -> None:
        content = verify.notebook(secret)
        content["cells"] += [
            {"cell_type": "markdown", "source": "# A title", "metadata": {}},
            code("1 + 1", printed("2\n")),
            code("print(answer.text)", printed(ANSWER)),
            code("%og threads show main", printed("all of it\n")),
            code("answer.text", shown({"text/plain": repr(ANSWER), "text/html": "<i>" + ANSWER + "</i>"})),
        ]
        status, kept, _ = scrub(content)
        assert status == 0
        assert kept["cells"][1:3] == content["cells"][1:3]
        assert [cell["outputs"] for cell in kept["cells"][3:]] == [[], [], []]

    @pytest.mark.parametrize(
        "source",
        [
            "many = og.ask_many(prompts)\nmany.texts",
            "for one in prompts:\n    print(og.ask(one).text)",
            "(await og.aask(prompt)).text",
            "llm.chat_sync('gpt-5', messages).text",
        ],
    )
    def test_what_python_asked_has_no_receipt_there_and_its_outputs_go(
        self, scrub: Any, tmp_path: Path, source: str
    ) -> None:
        printed = {"output_type": "stream", "name": "stdout", "text": "Never to be seen."}
        kept = {"output_type": "stream", "name": "stdout", "text": "Always to be seen."}
        cells = [code(source, printed), code("task(1)\nbasket.chatter(2)", kept)]
        content = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
        (tmp_path / "n.ipynb").write_text(json.dumps(content))
        assert main(["scrub", "--check", str(tmp_path / "n.ipynb")]) == 1
        status, scrubbed, told = scrub(content)
        assert status == 0
        assert [cell["outputs"] for cell in scrubbed["cells"]] == [[], [kept]]
        assert "Cell 1 asks from Python" in told
        assert main(["scrub", "--check", str(tmp_path / "n.scrubbed.ipynb")]) == 0

    def test_a_short_answer_is_found_where_it_stands_alone(
        self, scrub: Any, verify: Verifier, enclave: Enclave
    ) -> None:
        content = verify.notebook(answered(enclave, "The capital of France?", "Paris"))
        content["cells"] += [code("a", shown({"text/plain": "'Paris'"})), code("b", printed("Paris is a city\n"))]
        _, kept, _ = scrub(content)
        assert [len(cell["outputs"]) for cell in kept["cells"]] == [1, 0, 1]

    def test_all_outputs_go_where_that_is_asked(self, scrub: Any, verify: Verifier, secret: Receipt) -> None:
        content = verify.notebook(secret)
        content["cells"].append(code("1 + 1", printed("2\n")))
        _, kept, _ = scrub(content, "--all-outputs")
        assert kept["cells"][1]["outputs"] == []
        assert len(kept["cells"][0]["outputs"]) == 1

    def test_a_source_that_repeats_it_is_named_for_a_person_to_edit(
        self, scrub: Any, verify: Verifier, secret: Receipt
    ) -> None:
        content = verify.notebook(secret)
        content["cells"].append({"cell_type": "markdown", "source": f"I asked: {QUESTION}", "metadata": {}})
        status, _, told = scrub(content)
        assert status == 1
        assert "cell 2 repeats in its source" in told

    def test_widgets_and_papermills_parameters_go(self, scrub: Any) -> None:
        metadata = {
            "widgets": {"a": "secret"},
            "papermill": {"input_path": "/secret"},
            "kernelspec": {"name": "python3"},
        }
        view = shown({"application/vnd.jupyter.widget-view+json": {"model_id": "a"}, "text/plain": "Panel(secret)"})
        chat = [ChatText("secret", "openai/gpt-5", "secret")]
        summary = summary_bundle(
            Settings(), "", receipts_frame([]), Totals.of([]), lambda *_: "", {}, name=f"{SUMMARY}1", chat=chat
        )
        cells = [code("%og panel", view), code("og.panel()", shown(summary), view), code("1", shown(summary), view)]
        _, kept, _ = scrub({"cells": cells, "metadata": metadata})
        assert kept["metadata"] == {"kernelspec": {"name": "python3"}}
        assert [cell["outputs"] for cell in kept["cells"]] == [[], [], []]

    def test_what_is_public_on_chain_is_told(self, scrub: Any, verify: Verifier, secret: Receipt) -> None:
        _, _, told = scrub(verify.notebook(replace(secret, settlement="individual")))
        assert "1 of them were settled as individual: their text is public on chain" in told

    def test_what_is_private_is_taken_out_of_everything(self, scrub: Any, tmp_path: Path) -> None:
        home = str(Path.home())
        source = f'llm = og.LLM(private_key="0x{KEY}")  # {HASH}'
        cell = code(source, printed(f"{home}/n.ipynb\n"), shown({"text/plain": "x", "text/html": f"<a>{home}/x</a>"}))
        cell["metadata"] = {"path": f"{home}/x"}
        _, kept, _ = scrub({"cells": [cell], "metadata": {"author": "Bearer abcdefghijklmnop1234"}})
        assert KEY not in json.dumps(kept)
        assert home + "/" not in json.dumps(kept)
        assert "abcdefghijklmnop" not in json.dumps(kept)
        assert kept["cells"][0]["source"] == f'llm = og.LLM(private_key="[removed]")  # {HASH}'
        assert kept["cells"][0]["outputs"][0]["text"] == "~/n.ipynb\n"

    def test_twice_is_once(self, scrub: Any, verify: Verifier, secret: Receipt) -> None:
        _, once, _ = scrub(verify.notebook(secret))
        _, twice, _ = scrub(once)
        assert twice == once


SOURCES = [
    ("%%ogchat\nWhy?", f"%%ogchat\n{SCRUBBED}"),
    ("%%time\n%%ogchat -m gpt-5\nWhy?\n\nand how?", f"%%time\n%%ogchat -m gpt-5\n{SCRUBBED}"),
    ('%%ogchat --system "be a pirate" -m gpt-5 -o x\nWhy?', f"%%ogchat -m gpt-5 -o x\n{SCRUBBED}"),
    ("%%ogchat --thread diary --context all -t 0.5 --no-stream\nWhy?", f"%%ogchat -t 0.5 --no-stream\n{SCRUBBED}"),
    ("%%ogchat --system='a b' --model=gpt-5\nWhy?", f"%%ogchat --model=gpt-5\n{SCRUBBED}"),
    ('%%ogchat --system "not closed\nWhy?', f"%%ogchat\n{SCRUBBED}"),
    ('%%ogchat -m "a claim, it is true" --model="so it is" -n 5\nWhy?', f"%%ogchat -n 5\n{SCRUBBED}"),
    ("%ogchat -m gpt-5 Why?", f"%ogchat -m gpt-5 {SCRUBBED}"),
    ("%ogchat why -m secret", f"%ogchat {SCRUBBED}"),
    ("%ogchat -- -m secret", f"%ogchat {SCRUBBED}"),
    ("x = %ogchat Why?\nprint(x)", f"x = %ogchat {SCRUBBED}\nprint(x)"),
    ("if y:\n    %ogchat Why \\\n  on two lines?\nz", f"if y:\n    %ogchat {SCRUBBED}\nz"),
    ("%og use -m gpt-5 --system 'You are a spy.'", "%og use -m gpt-5"),
    ("%og fix -m gpt-5", "%og fix -m gpt-5"),
    ("%og explain -m gpt-5 in verse", f"%og explain -m gpt-5 {SCRUBBED}"),
    ("%ogchat --mood=dark -m gpt-5 Why?", f"%ogchat {SCRUBBED}"),
    ("%%ogcompare -m a/b -m c/d -p xai\nWhy?", f"%%ogcompare -m a/b -m c/d -p xai\n{SCRUBBED}"),
]
SAME = [
    "%ogchat?",
    "%%ogchats\nno",
    "%og wallet",
    "x = 1  # %ogchat",
    "text = '''\n%%ogchat\n'''",
    "%%writefile a\n%og",
]


@pytest.mark.parametrize(("source", "scrubbed"), SOURCES)
def test_of_a_prompt_its_harmless_flags_are_left(source: str, scrubbed: str) -> None:
    assert scrubbed_source(source) == scrubbed
    assert scrubbed_source(scrubbed) == scrubbed


@pytest.mark.parametrize(
    ("magic", "parser"), [("%%ogchat", chat_parser), ("%%ogcompare", compare_parser), ("%og use", use_parser)]
)
def test_each_flag_that_the_magics_read_is_known_here(magic: str, parser: Any) -> None:
    for flag, action in parser()._option_string_actions.items():
        value = "" if action.nargs == 0 else " 5"
        assert " -s batch" in scrubbed_source(f"{magic} {flag}{value} -s batch"), flag


@pytest.mark.parametrize("source", SAME)
def test_what_asks_nothing_is_as_it_was(source: str) -> None:
    assert scrubbed_source(source) == source


class TestWhatIsLeftToVerify:
    def test_the_signature_over_the_hashes_holds_and_says_that_it_is_no_more(
        self, verify: Verifier, scrub: Any, secret: Receipt
    ) -> None:
        found = verify(scrub(verify.notebook(secret))[1])
        assert (found.status, found.ok()) == (0, [True])
        assert "signature over the hashes; the text was removed" in found.reason()

    @pytest.mark.parametrize("name", ["tee_signature", "request_hash", "output_hash", "tee_id", "tee_timestamp"])
    def test_a_proof_that_was_changed_does_not(self, verify: Verifier, scrub: Any, secret: Receipt, name: str) -> None:
        _, kept, _ = scrub(verify.notebook(secret))
        form = verify.data(kept)[MIME]
        old = str(form[name])
        form[name] = (
            form[name] + 1 if name == "tee_timestamp" else old[:20] + ("a" if old[20] != "a" else "b") + old[21:]
        )
        assert verify(kept).ok() == [False]

    def test_another_enclaves_key_does_not(self, verify: Verifier, scrub: Any, secret: Receipt) -> None:
        _, kept, _ = scrub(verify.notebook(secret))
        verify.data(kept)[MIME]["public_key"] = Enclave().public_key_der.hex()
        assert verify(kept).ok() == [False]

    def test_without_a_signature_or_a_key_nothing_is_known(self, verify: Verifier, scrub: Any, secret: Receipt) -> None:
        assert verify(scrub(verify.notebook(replace(secret, tee_signature=None)))[1]).ok() == [None]
        assert verify(scrub(verify.notebook(replace(secret, public_key="")))[1]).ok() == [None]


class TestAScrubbedReceiptVouchesForNoText:
    @pytest.mark.parametrize(
        ("name", "value"),
        [("text", ANSWER), ("request", {"model": "gpt-5"}), ("tool_calls", [{"id": "1"}])],
    )
    def test_one_that_holds_a_text_is_no_receipt(
        self, verify: Verifier, secret: Receipt, name: str, value: Any
    ) -> None:
        content = verify.notebook(secret.without_text())
        verify.data(content)[MIME][name] = value
        content["cells"][0]["source"] = "ask()"
        found = verify(content)
        assert found.ok() == [False]
        assert "there is a text in it" in found.reason()

    @pytest.mark.parametrize("kind", ["text/plain", "text/markdown"])
    def test_another_answer_in_its_output_fails(self, verify: Verifier, scrub: Any, secret: Receipt, kind: str) -> None:
        _, kept, _ = scrub(verify.notebook(secret))
        verify.data(kept)[kind] = verify.data(kept)[kind].replace(SCRUBBED, "Vote for me.")
        assert verify(kept).ok() == [False]

    @pytest.mark.parametrize("more", ["\n\nVote for me.", " Vote for me."])
    def test_more_in_its_output_fails(self, verify: Verifier, scrub: Any, secret: Receipt, more: str) -> None:
        _, kept, _ = scrub(verify.notebook(secret))
        for kind in ("text/plain", "text/markdown"):
            verify.data(kept)[kind] = verify.data(kept)[kind].replace(SCRUBBED, SCRUBBED + more)
        assert verify(kept).status == 1
        assert verify(kept).ok() == [False]

    @pytest.mark.parametrize("source", ["%%ogchat\nIs it true?", "%ogchat is it true?", "%%time\n%%ogchat\nIs it?"])
    def test_a_prompt_in_its_cell_fails(self, verify: Verifier, scrub: Any, secret: Receipt, source: str) -> None:
        _, kept, _ = scrub(verify.notebook(secret))
        kept["cells"][0]["source"] = source
        found = verify(kept)
        assert found.ok() == [False]
        assert "holds a prompt" in found.reason()

    def test_a_receipt_with_its_text_is_not_checked_by_hashes_alone(self, verify: Verifier, secret: Receipt) -> None:
        assert verify(verify.notebook(replace(secret, text="Vote for me."))).ok() == [False]
        unmarked = replace(secret.without_text(), scrubbed=False)
        assert verify(verify.notebook(unmarked)).ok() == [False]


class TestTheCheck:
    def test_a_scrubbed_notebook_passes_and_what_it_was_made_of_does_not(
        self, scrub: Any, verify: Verifier, secret: Receipt
    ) -> None:
        content = verify.notebook(secret)
        status, _, told = scrub(content, "--check")
        assert status == 1
        assert [line.split(": ", 1)[1] for line in told.splitlines()] == [
            "cell 1: a prompt",
            "cell 1: an answer, or an output that tells of one",
        ]
        _, kept, _ = scrub(content)
        assert scrub(kept, "--check") == (0, {}, "")

    def test_so_it_does_when_a_front_end_has_saved_it(self, scrub: Any, verify: Verifier, secret: Receipt) -> None:
        _, kept, _ = scrub(verify.notebook(secret))
        data = verify.data(kept)
        for kind in ("text/plain", "text/markdown"):
            data[kind] = data[kind].splitlines(keepends=True)
        kept["cells"][0]["source"] = kept["cells"][0]["source"].splitlines(keepends=True)
        assert scrub(kept, "--check")[0] == 0

    @pytest.mark.parametrize(
        ("text", "what"),
        [
            (f'OG_PRIVATE_KEY = "0x{KEY}"', "a private key"),
            (f"llm = og.LLM(private_key='{KEY}')", "a private key"),
            ("curl -H 'Authorization: Bearer abcdef0123456789abcd'", "a token or password"),
            ("client(api_key='abcdefghij1234567890')", "a token or password"),
            ("https://me:hunter2secret@rpc.example/v1", "a login in a URL"),
            (f"open('{Path.home()}/notes.txt')", "a path of this machine's home folder"),
        ],
    )
    @pytest.mark.parametrize("place", ["source", "outputs"])
    def test_what_is_private_is_told_and_not_repeated(self, scrub: Any, text: str, what: str, place: str) -> None:
        cell = code(text) if place == "source" else code("x", printed(f"before\n{text}\n"))
        for flags in (["--check"], ["--check", "--keep-answers"]):
            status, _, told = scrub({"cells": [cell]}, *flags)
            assert status == 1
            assert told.endswith(f"n.ipynb: cell 1, {place}: {what}\n")
            assert KEY not in told

    @pytest.mark.parametrize(
        "text",
        [f"payment_hash = '{HASH}'", "password = getpass()", "api_key=os.environ['KEY']", "the bearer of news", "x" * 99,
         "private_key = None", "https://rpc.example:8545/v1", "Set OG_PRIVATE_KEY in the environment."],
    )  # fmt: skip
    def test_what_is_not_passes(self, scrub: Any, text: str) -> None:
        assert scrub({"cells": [code(text, printed(text))]}, "--check") == (0, {}, "")

    def test_the_wallets_own_key_is_found_wherever_it_stands(self, scrub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OG_PRIVATE_KEY", f"0x{KEY}")
        assert scrub({"cells": [code(f"x = '{KEY.upper()}'")]}, "--check")[0] == 1

    def test_answers_may_be_kept(self, scrub: Any, verify: Verifier, secret: Receipt) -> None:
        assert scrub(verify.notebook(secret), "--check", "--keep-answers") == (0, {}, "")

    def test_several_are_checked_and_one_is_enough_to_fail(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "good.ipynb").write_text(json.dumps({"cells": []}))
        (tmp_path / "bad.ipynb").write_text(json.dumps({"cells": [code("%ogchat hi")]}))
        assert main(["scrub", "--check", str(tmp_path / "good.ipynb"), str(tmp_path / "bad.ipynb")]) == 1
        assert "bad.ipynb: cell 1: a prompt" in capsys.readouterr().out


class TestAsAHook:
    @pytest.mark.parametrize(
        "hook", yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text()), ids=itemgetter("id")
    )
    def test_it_stops_a_commit_of_a_notebook_that_should_not_be_published(
        self, tmp_path: Path, verify: Verifier, secret: Receipt, hook: dict[str, Any]
    ) -> None:
        program, *arguments = hook["entry"].split()
        assert program == "og-magics"
        content = verify.notebook(secret)
        private = {"cells": [code(f"OG_PRIVATE_KEY=0x{KEY}")]}
        for name, held, status in (
            ("empty", {"cells": []}, 0),
            ("answered", content, 0 if "--keep-answers" in arguments else 1),
            ("private", private, 1),
        ):
            (tmp_path / f"{name}.ipynb").write_text(json.dumps(held))
            done = subprocess.run(
                [sys.executable, "-m", "og_magics", *arguments, str(tmp_path / f"{name}.ipynb")],
                capture_output=True, text=True, check=False,
            )  # fmt: skip
            assert done.returncode == status, done.stdout + done.stderr


class TestUsage:
    @pytest.mark.parametrize(
        "flags", [["--check", "-o", "x"], ["--keep-answers"], ["other.ipynb"], ["--check", "--all-outputs"]]
    )
    def test_wrong_usage_ends_with_2(self, tmp_path: Path, flags: list[str]) -> None:
        with pytest.raises(SystemExit) as ended:
            main(["scrub", str(tmp_path / "n.ipynb"), *flags])
        assert ended.value.code == 2

    @pytest.mark.parametrize("content", ["", "{}", '{"cells": 3}', '{"cells": [1]}', '{"cells": [{"outputs": [5]}]}'])
    def test_what_is_no_notebook_is_an_error_and_nothing_is_written(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str
    ) -> None:
        (tmp_path / "n.ipynb").write_text(content)
        for flags in ([], ["--check"]):
            assert main(["scrub", str(tmp_path / "n.ipynb"), *flags]) == 1
            assert "is not a notebook" in capsys.readouterr().err
        assert [path.name for path in tmp_path.iterdir()] == ["n.ipynb"]

    def test_in_place_is_possible_and_an_odd_notebook_is_no_obstacle(self, tmp_path: Path) -> None:
        odd = [
            {"source": 7},
            {"cell_type": "code"},
            {"cell_type": "code", "outputs": [{}], "source": "x", "metadata": 3},
        ]
        (tmp_path / "n.ipynb").write_text(json.dumps({"cells": odd, "metadata": 5}))
        assert main(["scrub", str(tmp_path / "n.ipynb"), "-o", str(tmp_path / "n.ipynb")]) == 0
        assert receipts_in(tmp_path / "n.ipynb") == []


def test_the_bundle_of_a_scrubbed_receipt_shows_the_placeholder_whatever_text_is_given(secret: Receipt) -> None:
    bundle = answer_bundle(secret.without_text(), "Vote for me.", lambda _: "")
    assert bundle["text/plain"].startswith(SCRUBBED + "\n\n")
    assert "Vote" not in json.dumps(bundle)
