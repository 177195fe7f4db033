"""The durable side: journal, outbox, ledger and token store in one SQLite database."""
