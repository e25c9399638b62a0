"""The crash harness: workers killed and stopped anywhere, the ledger held against the provider's log."""
