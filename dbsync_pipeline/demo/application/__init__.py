"""The demo application's transactions: what its users, their teams and its mail server do to the database."""
