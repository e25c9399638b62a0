"""HTML pages that stand by themselves: one file with its style, light and dark, for wide and narrow screens.

In: what stands in the body, as HTML. Out: the page's text. No script, nothing from elsewhere.
"""

from __future__ import annotations

STYLE = """
:root{--ground:#fff;--card:#f6f7f9;--ink:#1b1f24;--faint:#5b6570;--line:#dfe3e8;--c1:#2468b4;--c2:#c2570c}
@media (prefers-color-scheme:dark){:root{--ground:#14171a;--card:#1d2126;--ink:#e8ebee;--faint:#9aa4af;
--line:#343a41;--c1:#6aa9ec;--c2:#f0954d}}
*{box-sizing:border-box}body{margin:0;background:var(--ground);color:var(--ink);font:15px/1.5
system-ui,-apple-system,"Segoe UI","PingFang SC","Microsoft YaHei","Noto Sans CJK SC",sans-serif}
main{max-width:1080px;margin:0 auto;padding:28px 20px 60px}h1{font-size:24px;margin:0 0 4px}
h2{font-size:18px;margin:36px 0 6px}h3{font-size:15px;margin:14px 0 4px}p{margin:4px 0;color:var(--faint)}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px;margin:20px 0}
.tile{background:var(--card);border-radius:10px;padding:14px}
.tile b{display:block;font-size:26px;line-height:1.2}
.tile i{font-style:normal;color:var(--c2);font-size:16px;font-weight:600}
.tile span{color:var(--faint);font-size:13px}
.charts{display:grid;gap:16px;grid-template-columns:repeat(auto-fit,minmax(min(420px,100%),1fr))}
.chart{background:var(--card);border-radius:10px;padding:12px}svg{width:100%;height:auto;display:block}
svg text{font-size:12px;fill:var(--faint)}svg text.ink{fill:var(--ink)}
.wide{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:14px;font-variant-numeric:tabular-nums}
th,td{text-align:right;padding:6px 9px;border-bottom:1px solid var(--line);white-space:nowrap}
th{color:var(--faint);font-weight:500;white-space:normal;vertical-align:bottom}
th:first-child,td:first-child,td.why,th.why{text-align:left}
td.why{white-space:normal;color:var(--faint);min-width:180px}
tr.book td{font-weight:600}tr.book td.why{font-weight:400}tr.step td:first-child{padding-left:26px}
.key{display:inline-block;width:11px;height:11px;border-radius:3px;margin-right:6px}.c1{background:var(--c1)}
.c2{background:var(--c2)}.versions{margin:10px 0}.versions span{margin-right:22px}
"""
"""Colours are variables, which charts use, too."""


def whole_page(language: str, heading: str, inside: str, style: str = "") -> str:
    """A page with that heading over what is inside, both as HTML; `style` is added to that of all pages."""
    return (
        f'<!doctype html><html lang="{language}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{heading}</title><style>{STYLE}{style}</style></head><body><main><h1>{heading}</h1>"
        f"{inside}</main></body></html>\n"
    )
