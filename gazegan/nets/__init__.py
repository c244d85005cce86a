"""Networks: the refiner, its critic and the gaze regressor."""
