"""The analytics copy of all tenancies."""
