"""Gives changes an order: numbers tombstones and rows, and makes their tenancies pending."""
