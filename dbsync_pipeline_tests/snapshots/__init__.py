"""What is generated from the built-in mappings, kept so that a change of it shows in a diff."""
