"""Adapt a gaze network to unlabelled photographs while it learns from labelled eyes."""
