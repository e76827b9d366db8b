"""A panel, and the notebook that it is a view of."""

from __future__ import annotations

import base64
import gc
import threading
from dataclasses import replace

import pytest

from og_magics.core.networks import BASE
from og_magics.core.progress import Call
from og_magics.core.settings import Secret
from og_magics.core.types import x402SettlementMode
from og_magics.widgets.settings import MODES

INDIVIDUAL = x402SettlementMode.INDIVIDUAL_FULL


def test_a_click_on_a_provider_chooses_its_default_model(app, panel, eventually):
    panel.choice.provider.value = "anthropic"
    eventually(lambda: app.settings.model == "anthropic/claude-sonnet-4-6")
    eventually(lambda: panel.choice.model.value == "anthropic/claude-sonnet-4-6")
    assert any("$3 in, $15 out" in label for label, _ in panel.choice.model.options)


def test_panels_and_settings_stay_in_step(app, new_panel, eventually):
    one, other = new_panel(), new_panel()
    one.choice.mode.value = INDIVIDUAL
    eventually(lambda: other.choice.mode.value == INDIVIDUAL)
    app.update_settings(model="google/gemini-2.5-pro", max_tokens=77, temperature=0.5, system="Be brief.", stream=False)
    for panel in (one, other):
        eventually(lambda panel=panel: panel.choice.provider.value == "google")
        eventually(lambda panel=panel: panel.parameters.fields["stream"].value is False)
        assert panel.choice.model.value == "google/gemini-2.5-pro"
        assert panel.parameters.fields["max_tokens"].value == 77
        assert panel.parameters.fields["system"].value == "Be brief."


@pytest.mark.parametrize(
    ("name", "value"),
    [("temperature", 1.5), ("max_tokens", 9), ("system", "x"), ("thread", "talk"), ("web_search", True)],
)
def test_a_parameter_that_is_changed_holds_for_the_notebook(app, panel, eventually, name, value):
    eventually(lambda: panel.parameters.fields[name].value == getattr(app.settings, name))
    panel.parameters.fields[name].value = value
    eventually(lambda: getattr(app.settings, name) == value)


def test_any_model_can_be_typed_and_stands_among_the_others(app, panel, eventually):
    panel.choice.other.value = "openai/gpt-99"
    eventually(lambda: app.settings.model == "openai/gpt-99")
    eventually(lambda: panel.choice.model.value == "openai/gpt-99")
    eventually(lambda: panel.choice.other.value == "")
    assert "no list price" in panel.ask.estimate.value


def test_what_cannot_be_set_is_told_and_changes_nothing(app, panel, eventually):
    before = app.settings
    panel.choice.other.value = "no such <b>model</b>"
    told = eventually(lambda: panel.choice.failed.value)
    assert "is not a model" in told
    assert "<b>" not in told
    assert app.settings == before


def test_each_mode_says_what_goes_on_chain_who_reads_it_and_what_it_is_for(panel, eventually):
    for mode, one in MODES.items():
        panel.choice.mode.value = mode
        eventually(lambda about=one.about: about.replace("'", "&#x27;") in panel.choice.about.value)
        assert one.about in panel.choice.mode.tooltips
        assert all(part in one.about for part in (one.onchain, one.readers, one.purpose))


def test_the_estimate_is_the_most_that_the_prompt_can_cost(app, panel, eventually):
    panel.ask.prompt.value = "x" * 4_000
    # 1,000 tokens at $1.25 and 1,000 at $10 for a million
    eventually(lambda: "at most $0.0112" in panel.ask.estimate.value)


def test_an_answer_is_shown_with_its_receipt_and_its_payment_settles_in_place(app, panel, ask, eventually, shown):
    text = ask(panel, "Hello [[words:30]]")
    assert "prepared" in text
    (receipt,) = app.ledger.receipts()
    assert receipt.cell == "panel"
    eventually(lambda: ">settled</span>" in panel.receipts.table.value)
    eventually(lambda: "paid 0x" in shown(panel.ask.answer))
    assert "1</b><span>calls" in panel.receipts.totals.value
    eventually(lambda: "<rect" in panel.receipts.totals.value)


def test_retry_asks_the_same_again(app, panel, ask, eventually):
    ask(panel, "Hello [[words:5]]")
    panel.ask.turns[-1].retry.click()
    eventually(lambda: len(app.ledger.receipts()) == 2 and not panel.ask.busy)
    one, other = app.ledger.receipts()
    assert one.request["messages"] == other.request["messages"]


def test_stop_keeps_what_had_arrived(app, panel, eventually, shown):
    panel.ask.prompt.value = "Hello [[words:3000]]"
    panel.ask.send.click()
    assert panel.ask.send.disabled
    eventually(lambda: "tokens, " in shown(panel.ask.answer))
    panel.ask.stop.click()
    eventually(lambda: not panel.ask.busy)
    text = shown(panel.ask.answer)
    assert "Stopped: the answer is not complete." in text
    assert "prepared" in text
    assert panel.ask.stop.disabled


def test_a_stop_before_the_call_begins_holds_too(app, panel, eventually, shown):
    panel.ask.prompt.value = "Hello [[slow:30]]"
    panel.ask.send.click()
    panel.ask.stop.click()
    eventually(lambda: not panel.ask.busy)
    assert "Stopped" in shown(panel.ask.answer)


def test_enter_sends_the_whole_prompt_in_one_message_and_the_box_is_empty(app, panel, eventually, shown):
    panel.ask.prompt.value = "Hello [[wor"  # what was typed last is on its way still
    panel.ask.prompt.value = f"Hello [[words:5]]\x1e{panel.ask.keys.name}"
    eventually(lambda: panel.ask.turns and not panel.ask.busy)
    assert "direct answer" in shown(panel.ask.answer)
    assert app.ledger.receipts()[0].messages[-1]["content"] == "Hello [[words:5]]"
    assert panel.ask.prompt.value == ""


def test_what_is_pasted_is_not_sent(app, panel, new_panel):
    panel.ask.prompt.value = "Hello\x1e"
    panel.ask.prompt.value = f"Hello\x1e{new_panel().ask.keys.name}"
    assert not panel.ask.busy
    assert panel.ask.turns == []


def test_enter_keeps_the_prompt_while_an_answer_is_on_its_way(app, panel, eventually):
    panel.ask.prompt.value = f"Hello [[words:2000]]\x1e{panel.ask.keys.name}"
    eventually(lambda: panel.ask.turns)
    panel.ask.prompt.value = f"And then?\x1e{panel.ask.keys.name}"
    assert panel.ask.prompt.value == "And then?"
    panel.ask.stop.click()
    eventually(lambda: not panel.ask.busy)
    assert len(panel.ask.turns) == 1


def test_edit_puts_the_prompt_back(app, panel, ask):
    ask(panel, "Hello [[words:5]]")
    panel.ask.turns[0].edit.click()
    assert panel.ask.prompt.value == "Hello [[words:5]]"


def test_the_oldest_turns_go_and_leave_no_widget(app, panel, ask, monkeypatch):
    monkeypatch.setattr("og_magics.widgets.ask.MOST_TURNS", 2)
    for number in range(3):
        ask(panel, f"Turn {number} [[words:3]]")
    first = panel.ask.turns[0]
    assert [turn.prompt for turn in panel.ask.turns] == ["Turn 1 [[words:3]]", "Turn 2 [[words:3]]"]
    assert "The last 2 turns." in panel.ask.older.value
    ask(panel, "Turn 3 [[words:3]]")
    assert first.answer.box.comm is None


@pytest.mark.parametrize("yes", [True, False])
def test_what_could_cost_much_is_asked(app, panel, eventually, shown, monkeypatch, yes):
    monkeypatch.setattr("og_magics.core.settings._limits", {})  # limits hold for a process
    app.update_settings(approve_above=1)
    panel.ask.prompt.value = "Hello [[words:5]]"
    panel.ask.send.click()
    eventually(lambda: panel.ask.question.box.layout.display != "none")
    assert "This could cost up to" in panel.ask.question.text.value
    (panel.ask.question.yes if yes else panel.ask.question.no).click()
    eventually(lambda: not panel.ask.busy)
    assert panel.ask.question.box.layout.display == "none"
    assert ("direct answer" if yes else "You did not allow it.") in shown(panel.ask.answer)
    assert len(app.ledger.receipts()) == yes


def test_a_function_that_is_to_be_confirmed_is_asked_about_and_a_closed_panel_confirms_nothing(panel, eventually):
    question, said = panel.ask.question, []
    call = Call("pay", '{"to": "<b>you</b>"}', guarded=True)

    def confirm():
        said.append(question.confirm(call))

    threading.Thread(target=confirm, daemon=True).start()
    eventually(lambda: question.box.layout.display != "none")
    for part in ("pay(", "&lt;b&gt;you", "which writes or spends", "Allow it?"):
        assert part in question.text.value
    question.yes.click()
    eventually(lambda: said == [True])
    threading.Thread(target=confirm, daemon=True).start()
    eventually(lambda: question.box.layout.display != "none")
    panel.close()
    eventually(lambda: said == [True, None])


def test_a_failure_says_what_it_means_for_the_money_and_what_to_do(app, panel, ask):
    app.update_settings(model="openai/<i>none</i>")
    text = ask(panel, "Hello")
    assert "does not serve the model" in text
    assert "nothing is charged" in text
    assert "%og models" in text
    assert "<i>" not in text


def test_an_empty_prompt_is_not_sent(app, panel, ask):
    assert "The prompt is empty." in ask(panel, "  ")
    assert app.ledger.receipts() == []


def test_the_wallets_own_key_is_not_sent(app, panel, ask):
    key = "c5" * 32
    app._settings = replace(app.settings, private_key=Secret(key), network="devnet")
    text = ask(panel, f"What is 0x{key}?")
    assert "private key" in text
    assert key not in text
    assert app.ledger.receipts() == []


def test_nothing_that_others_wrote_is_html_in_the_panel(app, panel, ask, eventually, shown):
    evil = (
        '<img src=x onerror="alert(1)"><script>alert(2)</script> [x](javascript:alert(3)) ![y](https://e.example/p.png)'
    )
    app.update_settings(system=evil)
    ask(panel, f"{evil} [[words:60]]")
    panel.ask.turns[-1].cell.click()
    eventually(lambda: panel.ask.turns[-1].source.value)
    eventually(lambda: "settled" in panel.receipts.table.value)
    everything = shown(panel)
    for tag in ("<img", "<script", 'href="javascript', 'onerror="alert'):
        assert tag not in everything


def test_callbacks_return_while_the_notebook_is_busy(app, panel):
    held = threading.Event()
    done = threading.Event()

    def hold():
        with app._lock:
            held.set()
            done.wait()

    threading.Thread(target=hold, daemon=True).start()
    held.wait()
    panel.choice.provider.value = "x-ai"
    panel.ask.prompt.value = "Hello"
    panel.ask.send.click()
    panel.ask.stop.click()
    panel.receipts.csv.click()
    panel.wallet.refresh.click()
    assert app.settings.model != "x-ai/grok-4"
    done.set()


@pytest.mark.ci
def test_the_proofs_of_the_rows_are_told(app, panel, ask, eventually):
    ask(panel, "Hello [[words:5]]")
    eventually(lambda: ">settled</span>" in panel.receipts.table.value)
    panel.receipts.verify.click()
    told = eventually(lambda: "<table" in panel.receipts.proofs.value and panel.receipts.proofs.value)
    for name in ("enclave", "attestation", "registry", "payment", "data", "ledger"):
        assert name in told
    eventually(lambda: ">verified</span>" in panel.receipts.table.value)


def test_the_csv_file_is_a_link_that_downloads_it(app, panel, ask, eventually):
    ask(panel, "Hello [[words:5]]")
    panel.receipts.csv.click()
    link = eventually(lambda: panel.receipts.link.value)
    assert link.startswith('<a download="receipts.csv" href="data:text/csv;base64,')


@pytest.mark.ci
def test_receipts_are_filtered_and_sorted_and_the_csv_file_holds_those(app, panel, ask, eventually):
    ask(panel, "Hello [[words:5]]")
    app.update_settings(model="google/gemini-2.5-flash")
    ask(panel, "Hello [[words:9]]")
    eventually(lambda: panel.receipts.table.value.count(">settled</span>") == 2)

    def models():
        return [receipt.model for receipt in panel.receipts._shown]

    assert models() == ["google/gemini-2.5-flash", "openai/gpt-5"]
    panel.receipts.order.value = "oldest first"
    assert models() == ["openai/gpt-5", "google/gemini-2.5-flash"]
    panel.receipts.filter.value = "SETTLED gpt"
    assert models() == ["openai/gpt-5"]
    assert "1 receipt found, of 2" in panel.receipts.table.value
    panel.receipts.csv.click()
    link = eventually(lambda: panel.receipts.link.value)
    content = base64.b64decode(link.partition("base64,")[2].partition('"')[0]).decode()
    assert "openai/gpt-5" in content
    assert "gemini" not in content
    panel.receipts.filter.value = "<b>none"
    assert "None of the 2 receipts holds these words." in panel.receipts.table.value


def test_a_model_is_found_by_a_part_of_its_name_or_price(app, panel, eventually):
    (found,) = [one for one in panel.choice.other.options if one.startswith("anthropic/claude-haiku-4-5 ")]
    assert "$1 in, $5 out" in found
    panel.choice.other.value = found
    eventually(lambda: app.settings.model == "anthropic/claude-haiku-4-5")


def test_the_head_says_what_is_left_of_the_budget(app, panel, eventually, monkeypatch):
    monkeypatch.setattr("og_magics.core.settings._limits", {})  # limits hold for a process
    app.update_settings(budget_notebook=10**19)
    panel.wallet.refresh.click()
    eventually(lambda: "10 OPG left (budget, notebook)" in panel.head.value)


def test_real_money_is_chosen_twice(app, panel, eventually):
    eventually(lambda: panel.wallet.network.value == "devnet")
    panel.wallet.network.value = BASE.name
    assert panel.wallet.real.layout.display != "none"
    assert "real money" in panel.wallet.outcome.value
    assert app.settings.network_name() == "devnet"
    panel.wallet.real.click()
    told = eventually(lambda: "og-error" in panel.wallet.outcome.value and panel.wallet.outcome.value)
    assert "OG_PRIVATE_KEY" in told  # no wallet, so it is as before
    eventually(lambda: panel.wallet.network.value == "devnet")


def test_the_wallet_is_told_without_its_key(app, panel, eventually, monkeypatch):
    monkeypatch.setattr("og_magics.core.settings._limits", {})  # limits hold for a process
    told = eventually(lambda: "<dl" in panel.wallet.status.value and panel.wallet.status.value)
    assert app.llm.wallet.address in told
    assert "OPG" in told
    assert "no limit" in told
    app.update_settings(budget_notebook=10**20, budget_wallet=10**21)
    panel.wallet.refresh.click()
    told = eventually(lambda: 'role="meter"' in panel.wallet.status.value and panel.wallet.status.value)
    budgets = [told.find(f"Budget, {name}") for name in ("notebook", "wallet, 24 h", "wallet, all")]
    assert -1 < budgets[0] < budgets[1] < budgets[2]
    assert told.count('role="meter"') == 2


def test_approving_tells_what_came_of_it(panel, eventually):
    panel.wallet.amount.value = "nonsense"
    panel.wallet.approve.click()
    eventually(lambda: "not an amount" in panel.wallet.outcome.value)
    eventually(lambda: not panel.wallet.approve.disabled)
    panel.wallet.amount.value = "5"
    panel.wallet.approve.click()
    eventually(lambda: "may be moved" in panel.wallet.outcome.value)


def test_health_names_each_part(panel, eventually):
    panel.health.check.click()
    told = eventually(lambda: "<table" in panel.health.status.value and panel.health.status.value)
    for part in ("gateway", "enclave", "price feed", "payment chain", "receipts"):
        assert part in told
    assert told.count(">ok</span>") == 5


def test_one_column_fails_and_the_others_finish(app, panel, eventually, shown):
    panel.ask.prompt.value = "Compare [[words:40]]"
    panel.compare.models[2].value = "openai/none"
    panel.compare.send.click()
    eventually(lambda: len(panel.compare.columns.children) == 3 and not panel.compare.busy)
    first, second, third = map(shown, panel.compare.columns.children)
    for text in (first, second):
        assert "prepared" in text
        assert "first token" in text
    assert "does not serve the model" in third
    assert len(app.ledger.receipts()) == 3


def test_one_model_is_no_comparison(app, panel, eventually):
    panel.ask.prompt.value = "Compare"
    panel.compare.models[1].value = ""
    panel.compare.send.click()
    eventually(lambda: "Fewer than two models" in panel.compare.status.value)
    assert app.ledger.receipts() == []


def test_receipts_of_other_hands_appear(app, panel, eventually):
    run = app.start(app.build_turn("Hello [[words:3]]"))
    run.result()
    eventually(lambda: "1</b><span>calls" in panel.receipts.totals.value)


def test_a_closed_panel_watches_nothing_and_leaves_no_thread(app, new_panel, eventually):
    panel = new_panel()
    eventually(lambda: app._watchers)
    panel.close()
    panel.close()
    eventually(lambda: not app._watchers)
    del panel
    gc.collect()
    eventually(lambda: not [t for t in threading.enumerate() if t.name == "og_magics-panel"])
