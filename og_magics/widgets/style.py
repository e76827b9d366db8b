"""The panel's style sheet: colors of JupyterLab or VS Code where they exist, plain ones elsewhere, light and dark."""

from __future__ import annotations

CSS = """
.og-panel {
  --og-text: var(--jp-ui-font-color1, var(--vscode-foreground, inherit));
  --og-soft: var(--jp-ui-font-color2, var(--vscode-descriptionForeground, #6e7781));
  --og-line: var(--jp-border-color2, var(--vscode-panel-border, #8886));
  --og-area: var(--jp-layout-color1, transparent);
  --og-raised: var(--jp-layout-color2, #8881);
  --og-brand: var(--jp-brand-color1, #1f6feb);
  --jp-widgets-inline-label-width: 92px;
  --og-mono: var(--jp-code-font-family, ui-monospace, Menlo, Consolas, monospace);
  color: var(--og-text); max-width: 1100px; padding: 2px 12px 12px; border: 1px solid var(--og-line);
  border-radius: 8px; box-sizing: border-box; overflow: hidden;
}
.og-panel, .og-panel .widget-vbox, .og-panel .widget-tab { width: auto; }
.og-panel .widget-box, .og-panel .widget-html { min-width: 0; overflow: visible; }
.og-panel > .widget-vbox, .og-panel > .widget-tab { flex: none; }
.og-panel .widget-html { height: auto; margin: 0 2px; color: var(--og-text); }
.og-panel .widget-html-content { line-height: 1.5; align-self: stretch; flex: 1 1 auto; min-width: 0;
  color: var(--og-text); }
.og-panel .widget-html-content > p { margin: 2px 0; }
.og-panel .og-row { flex-wrap: wrap; align-items: center; gap: 2px 6px; }
.og-panel .widget-inline-hbox { max-width: calc(100% - 4px); }
.og-panel .widget-label { color: var(--og-text); }
.og-panel .jupyter-button { color: var(--og-text); border-radius: 4px; }
.og-panel .jupyter-button.mod-primary { color: #fff; background: #0b5cad; }
.og-panel .jupyter-button.mod-danger { color: #fff; background: #b42318; }
.og-panel .jupyter-button:disabled { color: var(--og-soft); background: var(--og-raised); opacity: .6; }
.og-panel .jupyter-button:focus-visible, .og-panel [tabindex]:focus-visible, .og-panel a:focus-visible,
.og-panel summary:focus-visible { outline: 2px solid var(--og-brand); outline-offset: 1px; }
.og-panel .widget-toggle-buttons { width: auto; height: auto; display: flex; flex-direction: row;
  align-items: flex-start; }
.og-panel .widget-toggle-buttons > .widget-label { flex: 0 0 var(--jp-widgets-inline-label-width); text-align: right;
  margin-right: 8px; line-height: 30px; }
.og-panel .widget-toggle-buttons > div { display: flex; flex-wrap: wrap; min-width: 0; }
.og-panel .widget-checkbox { width: auto; margin-right: 24px; }
.og-panel .widget-toggle-buttons .widget-toggle-button { width: auto; min-width: 64px; padding: 0 12px; margin: 2px; }
.og-panel .widget-toggle-button.mod-active { color: #fff; background: #0b5cad; font-weight: 600; }
.og-panel .og-model { flex: 1 1 min(380px, 90%); min-width: 0; max-width: 560px; }
.og-panel .og-model select { min-width: 0; text-overflow: ellipsis; }
.og-panel .og-other { flex: 0 1 290px; min-width: 0; }
.og-panel .og-other .widget-label { width: auto; }
.og-panel .og-prompt, .og-panel .og-system { width: auto; height: auto; }
.og-panel .og-about { margin-left: 102px; }
.og-panel .og-about .widget-html-content { min-height: 3.1em; }
.og-panel .og-send, .og-panel .og-stop, .og-panel .og-yes, .og-panel .og-no, .og-panel .og-verify,
.og-panel .og-csv, .og-panel .og-approve, .og-panel .og-refresh, .og-panel .og-check, .og-panel .og-ask-all,
.og-panel .og-stop-all { width: auto; min-width: 76px; padding: 0 14px; }
.og-panel .og-check { align-self: flex-start; }
.og-panel .og-filter { flex: 1 1 260px; max-width: 420px; } .og-panel .og-order, .og-panel .og-rows { width: auto; }
.og-panel .og-filter > .widget-label, .og-panel .og-order > .widget-label, .og-panel .og-rows > .widget-label {
  width: auto; }
.og-panel .og-amount { width: 170px; }
.og-panel .og-network { flex: 0 1 320px; min-width: 0; }
.og-panel .og-real { width: auto; }
.og-panel .og-temperature, .og-panel .og-thread { width: auto; max-width: 420px; }
.og-panel .og-note, .og-panel .og-status, .og-panel .og-empty, .og-panel .og-estimate-line { color: var(--og-soft); }
.og-panel .og-status::before { content: "●"; margin-right: .5em; color: var(--og-brand);
  animation: og-breathe 1.6s infinite; }
@keyframes og-breathe { 50% { opacity: .25; } }
@media (prefers-reduced-motion: reduce) { .og-panel .og-status::before { animation: none; } }
.og-panel .og-what { font-weight: 600; }
.og-panel .og-error { border-left: 4px solid #d1242f; padding: 4px 12px; background: var(--og-raised); }
.og-panel .og-error p { margin: 2px 0; color: var(--og-text); }
.og-panel .widget-dropdown select { appearance: auto; background-image: none; }
.og-panel .og-loud { color: #fff; background: #b42318; font-weight: 600; padding: 4px 12px; border-radius: 4px; }
.og-head { display: flex; flex-wrap: wrap; align-items: center; gap: 4px 12px; padding: 8px 0 4px; }
.og-head strong { font-size: 1.15em; }
.og-head .og-left { color: var(--og-soft); }
.og-head .og-busy { margin-left: auto; color: var(--og-soft); }
.og-badge { display: inline-block; padding: 0 .7em; border-radius: 1em; color: #fff; font-size: .92em;
  line-height: 1.6;
  white-space: nowrap; }
.og-good { background: #1a7f37; } .og-open { background: #8a5a00; } .og-bad { background: #c21f2b; }
.og-plain { background: #59636e; }
.og-panel .og-turns, .og-panel .og-column-text { max-height: min(560px, 55vh); min-height: 0; overflow-y: auto;
  display: flex; flex-direction: column-reverse; margin: 6px 2px; border: 1px solid var(--og-line);
  border-radius: 6px; background: var(--og-area); }
.og-panel .og-turns > .widget-vbox, .og-panel .og-column-text > .widget-vbox { flex: none; margin-bottom: auto;
  padding: 4px 14px; overflow: visible; }
.og-panel .og-text, .og-panel .og-turn, .og-panel .og-answer { overflow: visible; width: auto; flex: none; }
.og-panel .og-turn { padding: 8px 0; }
.og-panel .og-turn + .og-turn { border-top: 1px solid var(--og-line); }
.og-panel .og-who { font-weight: 600; color: var(--og-soft); font-size: .92em; }
.og-panel .og-said { white-space: pre-wrap; overflow-wrap: anywhere; background: var(--og-raised); border-radius: 8px;
  padding: 6px 12px; max-height: 14em; overflow-y: auto; }
.og-panel .og-text .jp-OutputArea-prompt { display: none; }
.og-panel .og-text .jp-OutputArea-output, .og-panel .og-text .jp-RenderedMarkdown { padding: 0; color: var(--og-text);
  background: transparent; overflow-wrap: anywhere; }
.og-panel .og-text > * + * { margin-top: .5em !important; }
.og-panel .og-text pre { overflow-x: auto; }
.og-panel .og-text { --jp-layout-color0: transparent; }
[data-jp-theme-light="false"] .og-panel .og-text { --jp-mirror-editor-comment-color: #6fb3b3; }
.og-panel .og-keys, .og-panel .og-raw { display: none; }
.og-panel .og-actions { flex-wrap: wrap; gap: 2px 4px; overflow: visible; }
.og-panel .og-actions .jupyter-button { width: auto; height: 26px; line-height: 24px; padding: 0 10px; margin: 0;
  background: transparent; border: 1px solid var(--og-line); font-size: .92em; }
.og-panel .og-prompt > .widget-label, .og-panel .og-spoken { position: absolute; width: 1px; height: 1px;
  overflow: hidden; clip-path: inset(50%); }
.og-panel .og-prompt textarea { field-sizing: content; min-height: 3.4em; max-height: 40vh; padding: 8px 12px;
  resize: vertical; border-radius: 6px; }
.og-panel .og-enter { width: auto; margin: 0 8px; }
.og-panel:not([data-keys]) .og-enter { display: none; }
.og-panel .og-question { border: 2px solid var(--og-brand); border-radius: 6px; padding: 6px 12px; margin: 6px 2px;
  flex: none; }
.og-panel pre { font-family: var(--og-mono); }
.og-panel .og-source pre { background: var(--og-raised); padding: 8px 12px; border-radius: 4px; overflow-x: auto;
  white-space: pre-wrap; overflow-wrap: anywhere; margin: 6px 0; color: var(--og-text); }
.og-panel .widget-html-content code { font-family: var(--og-mono); background: var(--og-raised); padding: 0 .3em;
  border-radius: 3px; color: inherit; overflow-wrap: anywhere; }
.og-panel .og-text img { max-width: 100%; }
.og-panel .og-footer .widget-html-content > p { font-size: .9em; color: var(--og-soft); margin: 0; }
.og-panel a { color: var(--jp-content-link-color, var(--vscode-textLink-foreground, #0b5cad));
  text-decoration: underline; }
.og-copy { user-select: all; -webkit-user-select: all; cursor: text; }
.og-scroll { overflow-x: auto; }
.og-panel table { border-collapse: collapse; width: 100%; color: var(--og-text); }
.og-panel th, .og-panel td { text-align: left !important; vertical-align: top; padding: 4px 10px 4px 0;
  white-space: nowrap; border-bottom: 1px solid var(--og-line); }
.og-panel th { color: var(--og-soft); font-weight: 600; }
.og-panel .og-text table { display: table; table-layout: auto; width: auto; max-width: 100%; }
.og-panel .og-text th, .og-panel .og-text td { white-space: normal; overflow-wrap: break-word; padding: 4px 12px 4px 0;
  }
.og-panel .og-text td code { display: inline; }
.og-panel .og-text pre, .og-panel .og-text pre code { white-space: pre; overflow-wrap: normal; }
.og-panel .og-health td:last-child, .og-panel .og-proofs td:last-child { white-space: normal;
  overflow-wrap: anywhere; }
.og-panel .og-proofs td:last-child { min-width: 14em; }
[data-jp-theme-light="false"] .og-panel .og-proofs td > span { filter: brightness(1.5); }
.og-panel td .og-remedy { font-weight: 600; }
.og-mark-✓ { color: #1a7f37; font-weight: 700; } .og-mark-✗ { color: #c21f2b; font-weight: 700; }
[data-jp-theme-light="false"] .og-mark-✓ { color: #2da44e; }
[data-jp-theme-light="false"] .og-mark-✗ { color: #f2777a; }
.og-top { display: flex; flex-wrap: wrap; gap: 8px 32px; align-items: flex-start; margin: 4px 0 8px; }
.og-totals { display: flex; flex-wrap: wrap; gap: 4px 28px; margin: 0; }
.og-totals > div { display: flex; flex-direction: column; }
.og-totals b { font-size: 1.35em; font-weight: 600; font-variant-numeric: tabular-nums; }
.og-totals span { color: var(--og-soft); }
.og-chart { margin: 0; flex: 1 1 300px; max-width: 480px; min-width: 0; }
.og-chart svg { width: 100%; min-width: 340px; height: auto; display: block; }
.og-chart line { stroke: var(--og-line); } .og-chart text { fill: var(--og-soft); font-size: 12px; }
.og-chart figcaption, .og-chart summary { color: var(--og-soft); font-size: .92em; }
.og-legend { display: flex; flex-wrap: wrap; gap: 2px 14px; font-size: .92em; overflow-wrap: anywhere; }
.og-legend i { display: inline-block; width: .8em; height: .8em; margin-right: .4em; border-radius: 2px; }
rect.og-color-0 { fill: #1f77d0; } i.og-color-0 { background: #1f77d0; }
rect.og-color-1 { fill: #c2410c; } i.og-color-1 { background: #c2410c; }
rect.og-color-2 { fill: #1a8f5a; } i.og-color-2 { background: #1a8f5a; }
rect.og-color-3 { fill: #a855c7; } i.og-color-3 { background: #a855c7; }
rect.og-color-4 { fill: #8a7400; } i.og-color-4 { background: #8a7400; }
rect.og-color-5 { fill: #6b7785; } i.og-color-5 { background: #6b7785; }
.og-panel dl.og-facts { display: grid; grid-template-columns: minmax(92px, max-content) 1fr;
  gap: 4px 16px; margin: 6px 0; }
.og-panel .og-facts > * { float: none; width: auto; }
.og-panel .og-facts dt { color: var(--og-soft); font-weight: 400; }
.og-panel .og-facts dd { margin: 0; min-width: 0; overflow-wrap: anywhere; }
.og-panel .og-facts .og-badge { white-space: normal; }
.og-meter { height: 8px; max-width: 320px; border-radius: 4px; background: var(--og-line); margin-top: 4px;
  overflow: hidden; }
.og-meter > div { height: 100%; background: var(--og-brand); }
.og-panel .widget-tab { margin-top: 4px; }
.og-panel .widget-tab > .widget-tab-contents { padding: 10px; background: transparent; color: var(--og-text);
  border-color: var(--og-line); }
.og-panel .lm-TabBar-tab, .og-panel .p-TabBar-tab { flex: 0 1 120px !important; min-width: 0 !important;
  color: var(--og-text) !important; }
.og-panel .og-columns { flex-wrap: wrap; gap: 6px; align-items: stretch; }
.og-panel .og-column { flex: 1 1 240px; min-width: 200px; }
.og-panel .og-column-head .widget-html-content { min-height: 4.7em; overflow-wrap: anywhere; }
.og-panel .og-column-text { height: 260px; }
.og-panel .og-models { flex-wrap: wrap; }
.og-panel .og-models .widget-text { flex: 1 1 240px; width: auto; min-width: 0; }
@media (forced-colors: active) {
  .og-panel .jupyter-button, .og-badge { border: 1px solid ButtonText; }
  .og-panel .jupyter-button.mod-active, .og-panel .jupyter-button.mod-primary:not(:disabled) {
    forced-color-adjust: none; color: HighlightText; background: Highlight; }
  .og-panel .jupyter-button:disabled { color: GrayText; border-color: GrayText; opacity: 1; }
  .og-legend i, .og-chart rect, .og-meter > div { forced-color-adjust: none; }
  .og-chart rect { stroke: CanvasText; } .og-chart text { fill: CanvasText; } .og-meter { border: 1px solid; }
}
@media (max-width: 1000px) {
  .og-panel .og-other { flex: 1 1 min(380px, 90%); max-width: 560px; }
  .og-panel .og-other .widget-label { width: var(--jp-widgets-inline-label-width); }
}
@media (max-width: 700px) {
  .og-panel { --jp-widgets-inline-label-width: 88px; padding: 2px 6px 8px; }
  .og-panel .og-about { margin-left: 2px; }
  .og-panel .og-health td:first-child { white-space: normal; }
  .og-panel dl.og-facts { grid-template-columns: minmax(64px, 96px) 1fr; gap: 4px 10px; }
  .og-panel .lm-TabBar-tab, .og-panel .p-TabBar-tab { padding: 0 6px !important; flex: 0 0 auto !important; }
  .og-panel .lm-TabBar-content, .og-panel .p-TabBar-content { flex-wrap: wrap; height: auto; }
  .og-panel .lm-TabBar, .og-panel .p-TabBar { min-height: 0; max-height: none; height: auto; }
}
"""


def sheet(summary: str) -> str:
    """Return the style sheet. A live panel hides the summary of this name; one without a kernel hides itself."""
    live = f"body:has(.{summary}-live:not(.jupyter-widgets-disconnected))"
    return (
        f"<style>{CSS}.og-panel.jupyter-widgets-disconnected {{ display: none; }}"
        f"{live} .{summary}, {live} .jp-OutputArea-child:has(.{summary}) {{ display: none; }}</style>"
    )
