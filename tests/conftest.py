"""Shared by all tests; being here also makes `oracles` importable."""
