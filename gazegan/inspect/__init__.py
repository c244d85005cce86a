"""What a network is made of: sizes, parameters, cost and receptive fields."""
