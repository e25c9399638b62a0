"""Why a customer is, or is not, written to: every playbook and step, asked of the same SQL that decides.

In: a customer, the playbooks, an instant. Out: an `Explanation` of plain values, and sentences or
a page about it in English or Chinese. Works in a transaction that is rolled back.
"""

from smr.explain.ask import Explanation, StepView, explain
from smr.explain.page import page
from smr.explain.tell import tell

__all__ = ["Explanation", "StepView", "explain", "page", "tell"]
