"""The copies that a tenancy's owner keeps: databases that belong to somebody else."""
