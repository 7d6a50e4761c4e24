"""The ledger at work: claim, mark, send, settle, and the sweep that finds what was left."""
