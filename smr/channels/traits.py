"""What every channel's settings say of its traits."""

from __future__ import annotations

from dataclasses import replace

from smr.channels.protocol import Traits, UnknownPolicy
from smr.errors import OperatorError
from smr.settings import ChannelSettings


def as_set(traits: Traits, name: str, settings: ChannelSettings) -> Traits:
    """The traits of a channel as it knows itself, changed by what the operator has set.

    Raises OperatorError where the operator wants what the channel cannot do.
    """
    policy = UnknownPolicy(settings.unknown) if settings.unknown else traits.unknown_policy
    if policy is UnknownPolicy.ASK and not traits.can_ask:
        raise OperatorError(
            f"channels.{name}.unknown: this channel cannot be asked what arrived; write resend or hold"
        )
    return replace(
        traits,
        unknown_policy=policy,
        rate=settings.rate or traits.rate,
        parallel=settings.parallel or traits.parallel,
        call_seconds=settings.timeout or traits.call_seconds,
        max_length=settings.max_length or traits.max_length,
    )
