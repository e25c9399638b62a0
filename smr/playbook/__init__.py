"""The language of playbooks: models, loading with places, lint, JSON Schema."""

from smr.playbook.load import load_library

__all__ = ["load_library"]
