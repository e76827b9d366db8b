// Reads {"folder", "texts", "check"} from standard input; writes, for each parser, its HTML of each text, or, where
// "check" is set, the places of the texts whose HTML runs or loads something, each with the reason.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { readFileSync } from "node:fs";

const { folder, texts, check } = JSON.parse(readFileSync(0, "utf8"));
const require = createRequire(folder + "/");
const { marked } = require("marked");
const markdownIt = require("markdown-it")({ html: true, linkify: check });
markdownIt.validateLink = () => true;
const commonmark = require("commonmark");
const showdown = new (require("showdown").Converter)({ tables: true, strikethrough: true, simplifiedAutoLink: check });
const { parse } = require("parse5");
const latex = await import(pathToFileURL(folder + "/@jupyterlab/rendermime/lib/latex.js")).catch(() => null);

const parsers = {
  marked: text => marked.parse(text),
  "markdown-it": text => markdownIt.render(text),
  "commonmark.js": text => new commonmark.HtmlRenderer().render(new commonmark.Parser().parse(text)),
  showdown: text => showdown.makeHtml(text),
};
if (latex) {
  parsers["JupyterLab (formulas set aside, then marked)"] = text => {
    const { text: rest, math } = latex.removeMath(text);
    return latex.replaceMath(marked.parse(rest), math);
  };
}

const TAGS = new Set(
  ("html head body p div span br hr table thead tbody tr td th ul ol li h1 h2 h3 h4 h5 h6 blockquote pre code a b em i "
    + "s del strong small sub sup wbr details summary").split(" "));
const ATTRIBUTES = new Set("href title class start target rel id align style".split(" "));

function running(node) {
  for (const child of node.childNodes ?? []) {
    if (child.nodeName.startsWith("#")) continue;
    if (!TAGS.has(child.nodeName)) return `<${child.nodeName}>`;
    for (const { name, value } of child.attrs ?? []) {
      if (!ATTRIBUTES.has(name)) return `${child.nodeName} with ${name}`;
      const plain = value.replace(/[\u0000-\u0020]/g, "").toLowerCase();
      if (name === "style" && !/^text-align:(left|right|center);?$/.test(plain)) return `the style ${plain}`;
      if (name === "href" && /^[a-z][a-z0-9+.-]*:/.test(plain) && !/^(https?|mailto|tel):/.test(plain)) return plain;
    }
    const inside = running(child);
    if (inside) return inside;
  }
  return "";
}

const result = {};
for (const [name, render] of Object.entries(parsers)) {
  result[name] = [];
  texts.forEach((text, place) => {
    let html;
    try {
      html = render(text);
    } catch (error) {
      html = "";  // a parser that breaks shows nothing
    }
    if (!check) return result[name].push(html);
    const reason = running(parse(html));
    if (reason) result[name].push([place, reason]);
  });
}
process.stdout.write(JSON.stringify(result));
