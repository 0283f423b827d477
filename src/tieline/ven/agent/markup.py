"""The frame of the page: one document without a script, its style inside, light or dark as the reader has it."""

import base64
import hashlib

STYLE = """
:root{color-scheme:light dark;--ink:#1b2430;--soft:#596675;--ground:#fff;--line:#d5dbe2;--go:#0b5cad;--held:#8a4b00;
--bad:#b3261e}
@media(prefers-color-scheme:dark){:root{--ink:#e7ecf2;--soft:#9dabba;--ground:#12171d;--line:#303a45;--go:#7ab8ff;
--held:#ffb866;--bad:#ff8a80}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:40rem;padding:1.5rem 1rem;font:1rem/1.5 system-ui,sans-serif;color:var(--ink);
background:var(--ground)}
h1,h2{line-height:1.2;margin:1.75rem 0 .5rem}h1{font-size:1.1rem;margin-top:0;color:var(--soft)}h2{font-size:1.2rem}
small,footer{color:var(--soft)}.big{font-size:2.2rem;margin:0}.big small{font-size:1rem}
ul{list-style:none;margin:0;padding:0}
li{display:flex;flex-wrap:wrap;gap:.75rem;justify-content:space-between;align-items:center;padding:.75rem 0;
border-top:1px solid var(--line)}
table{width:100%;border-collapse:collapse}th,td{text-align:left;vertical-align:top;padding:.6rem .5rem .6rem 0;
border-top:1px solid var(--line);font-weight:400}thead th,caption{color:var(--soft);text-align:left}
.held{color:var(--held)}.bad{color:var(--bad)}
button{font:inherit;min-height:2.75rem;padding:.5rem 1rem;border:2px solid var(--go);border-radius:.5rem;
background:none;color:var(--go);cursor:pointer}
details{flex-basis:100%}summary{cursor:pointer;padding:.5rem 0;color:var(--go)}
label{display:block;margin:.5rem 0}input,select{font:inherit;min-height:2.75rem;padding:.25rem .5rem;color:var(--ink);
background:var(--ground);border:1px solid var(--soft);border-radius:.5rem}
button:hover{background:var(--go);color:var(--ground)}:focus-visible{outline:3px solid var(--go);outline-offset:2px}
a{color:var(--go)}footer{margin-top:2rem;border-top:1px solid var(--line);padding-top:.75rem}
"""
_DIGEST = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
CONTENT_SECURITY = (
    f"default-src 'none'; style-src 'sha256-{_DIGEST}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""No script, no picture, no other place: only this very style."""


def document(title: str, body: str) -> str:
    """A whole page; both are HTML already, the title as text."""
    return (
        "<!doctype html><html lang=en><head><meta charset=utf-8>"
        "<meta name=viewport content='width=device-width, initial-scale=1'>"
        f"<title>{title}</title><style>{STYLE}</style></head><body><main>{body}</main></body></html>\n"
    )
