"""WHAT is synced: the YAML files, the models that validate them, and the SQL fragments read off them."""
