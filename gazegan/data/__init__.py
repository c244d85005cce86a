"""Eyes on disk and eyes in motion: stores, streams, readers of real eyes, exports."""
