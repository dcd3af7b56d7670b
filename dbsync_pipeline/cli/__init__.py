"""The command line, thin: it parses, calls the stage that does the work, and prints."""
