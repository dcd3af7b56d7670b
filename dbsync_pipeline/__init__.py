"""Keeps analytics and customer copies of a multi-tenant PostgreSQL right, live and proven."""
