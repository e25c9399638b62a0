"""`/unsubscribe/NAME/TOKEN`: the page behind the link in a mail. GET shows, POST acts.

Mail scanners follow links, so looking at the page changes nothing. The button, and the one click of a mailbox
provider (RFC 8058), are POSTs. A token that is not ours is answered like any page that is not there.
"""

from __future__ import annotations

from collections.abc import Sequence

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route

from smr import clock
from smr.channels import Closing, Receipt, ReceiptKind, Unsubscribing, open_channel
from smr.console.site import Site
from smr.delivery import receipts
from smr.errors import OperatorError

PAGE = """<!doctype html><html lang="zh"><meta charset="utf-8">
<meta name="viewport" content="width=device-width"><title>退订 Unsubscribe</title>
<h1>退订 Unsubscribe</h1>{body}</html>
"""
ASK = """<p>点击后,我们不再向您发送此类邮件。</p>
<p>Press the button, and you will get no more of these mails.</p>
<form method="post"><button>退订 Unsubscribe</button></form>"""
DONE = "<p>已退订。You are unsubscribed.</p>"


def routes(site: Site) -> Sequence[BaseRoute]:
    """The page."""

    def page(request: Request) -> Response:
        name, token = str(request.path_params["channel"]), str(request.path_params["token"])
        message_id = _message_of(site, name, token)
        if message_id is None:
            raise HTTPException(404)
        if request.method != "POST":
            return HTMLResponse(PAGE.format(body=ASK))
        told = Receipt(f"unsubscribe:{message_id}", ReceiptKind.OPTED_OUT, clock.now(), message_id=message_id)
        receipts.take(site.database, site.library(), site.settings(), name, [told], now=clock.now())
        return HTMLResponse(PAGE.format(body=DONE))

    return [Route("/unsubscribe/{channel}/{token}", page, methods=["GET", "POST"])]


def _message_of(site: Site, name: str, token: str) -> str | None:
    settings = site.settings()
    if name not in settings.channels:
        return None
    try:
        channel = open_channel(name, settings)
    except OperatorError:
        return None
    try:
        return channel.message_of(token) if isinstance(channel, Unsubscribing) else None
    finally:
        if isinstance(channel, Closing):
            channel.close()
