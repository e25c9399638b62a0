"""The language of playbooks: models, loading with places, lint, JSON Schema."""

from smr.playbook.load import load_library, load_topics

__all__ = ["load_library", "load_topics"]
