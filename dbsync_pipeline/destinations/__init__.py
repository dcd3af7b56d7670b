"""The places that hold copies, behind one protocol."""
