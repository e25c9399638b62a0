"""Calling out over HTTP, safely: what a channel that speaks HTTP uses.

In: a URL, headers, a body. Out: the status, the headers, the beginning of the answer; or a `ChannelError`
that says whether the request can have arrived.
"""

from smr.channels.http.client import Client, Reply
from smr.channels.http.networks import url_fault

__all__ = ["Client", "Reply", "url_fault"]
