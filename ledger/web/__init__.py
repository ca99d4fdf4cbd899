"""The server: it takes signed deliveries. Heavy to import; only `ledger serve` does."""
