"""Training: the loop, its checkpoints and log, and one stage a file."""
