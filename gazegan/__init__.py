"""Labelled synthetic eyes: render, refine, train, explain, attack, export."""

__version__ = "0.1.0"
