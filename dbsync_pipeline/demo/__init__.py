"""A small multi-tenant application to see the product work on: its schema, its data and its traffic."""
