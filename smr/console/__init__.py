"""The web application: health, metrics, and where the console and providers' receipts come in.

In: requests; a `Site`, which is what routes may use. Out: answers. Runs inside `smr daemon`, in a thread of
its own. To add routes, write a module with `routes(site)` and name it in `smr.console.app.SECTIONS`.
"""

from smr.console.app import Site, build
from smr.console.server import Server

__all__ = ["Server", "Site", "build"]
