"""Training losses: adversarial, gaze and self-regularisation."""
