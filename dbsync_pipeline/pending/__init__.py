"""What work exists, and who does it: claims with a lease, completion, back-off."""
